// The editor itself, loaded when somebody opens the page.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { PostgreSQL, sql } from "@codemirror/lang-sql";
import { bracketMatching, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorState } from "@codemirror/state";
import { drawSelection, EditorView, keymap, lineNumbers } from "@codemirror/view";
import { tags } from "@lezer/highlight";

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword], color: "var(--accent)", fontWeight: "560" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--action)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--warn)" },
  { tag: tags.comment, color: "var(--ink-3)", fontStyle: "italic" },
  { tag: tags.typeName, color: "var(--ink-2)" },
]);

const look = EditorView.theme({
  "&": { fontSize: "13px", color: "var(--ink)", backgroundColor: "transparent", maxHeight: "46vh" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "2px", borderRadius: "6px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55", minHeight: "150px", overflow: "auto" },
  ".cm-content": { caretColor: "var(--ink)", padding: "6px 0" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-gutters": { backgroundColor: "transparent", color: "var(--ink-3)", border: "0" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--accent-soft)" },
  ".cm-matchingBracket": { backgroundColor: "var(--accent-soft) !important", color: "inherit" },
  ".cm-tooltip": { backgroundColor: "var(--card)", border: "1px solid var(--line)", borderRadius: "8px", overflow: "hidden" },
  ".cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--accent-soft)", color: "var(--accent-ink)" },
});

/** An editor in a shadow tree. `tables` are completed. */
export function editor(
  root: ShadowRoot,
  text: string,
  tables: Record<string, string[]>,
  label: string,
  onchange: (text: string) => void,
  onrun: () => void,
): EditorView {
  const run = (): boolean => {
    onrun();
    return true;
  };
  const state = EditorState.create({
    doc: text,
    extensions: [
      lineNumbers(), history(), drawSelection(), bracketMatching(), closeBrackets(), autocompletion(),
      sql({ dialect: PostgreSQL, schema: tables, upperCaseKeywords: true }),
      syntaxHighlighting(colours), look, EditorView.lineWrapping,
      EditorView.contentAttributes.of({ "aria-label": label }),
      // Tab leaves the editor, as any other field.
      keymap.of([{ key: "Mod-Enter", run }, ...closeBracketsKeymap, ...completionKeymap, ...historyKeymap, ...defaultKeymap]),
      EditorView.updateListener.of((update) => {
        if (update.docChanged) onchange(update.state.doc.toString());
      }),
    ],
  });
  return new EditorView({ state, parent: root, root });
}
