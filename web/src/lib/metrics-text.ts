// The text format of Prometheus, as far as our own server writes it.

export interface Sample {
  labels: Record<string, string>;
  value: number;
}

/** The samples of each metric. */
export function parseMetrics(text: string): Map<string, Sample[]> {
  const all = new Map<string, Sample[]>();
  for (const line of text.split("\n")) {
    const found = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!found) continue;
    const labels: Record<string, string> = {};
    for (const [, name, value] of (found[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      labels[name as string] = (value as string).replace(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped));
    }
    const name = found[1] as string;
    const samples = all.get(name) ?? [];
    samples.push({ labels, value: Number(found[3]) });
    all.set(name, samples);
  }
  return all;
}
