// Asks the admin address. The types are made from its OpenAPI description.
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];

type Json<T> = T extends { content: { "application/json": infer Body } } ? Body : undefined;
type Answers<T> = T extends { responses: infer R } ? Json<R[keyof R & (200 | 201 | 204)]> : never;
type Method = "get" | "post" | "put" | "patch" | "delete";
type With<M extends Method> = { [P in keyof paths]: paths[P] extends Record<M, { responses: unknown }> ? P : never }[keyof paths];

export type Query = Iterable<[string, string]>;
interface More {
  /** What stands in the path's braces. */
  in?: Record<string, string>;
  query?: Query;
  body?: unknown;
  signal?: AbortSignal;
}

/** Why something was not answered: RFC 9457, with a stable code. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    /** When it may be tried again. */
    readonly retryAfter: number | null = null,
  ) {
    super(detail);
  }
}

/** Called when the server does not know who asks (any more). */
let whenUnknown: (problem: Problem) => void = () => {};
export const onUnknown = (call: typeof whenUnknown): void => void (whenUnknown = call);

/** The address of a request. */
export function href(path: string, more: More = {}): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(more.in?.[name] ?? ""));
  const query = new URLSearchParams([...(more.query ?? [])]).toString();
  return query ? `${filled}?${query}` : filled;
}

export async function ask<M extends Method, P extends With<M>>(method: M, path: P, more: More = {}): Promise<Answers<paths[P][M]>> {
  const answer = await send(method, href(path as string, more), more);
  const text = await answer.text();
  return (text && answer.headers.get("content-type")?.startsWith("application/json") ? JSON.parse(text) : undefined) as never;
}

/** Sends a request; what is no success is a [`Problem`]. */
export async function send(method: string, to: string, more: More = {}): Promise<Response> {
  const body = more.body === undefined ? null : JSON.stringify(more.body);
  let answer: Response;
  try {
    answer = await fetch(to, {
      method: method.toUpperCase(),
      body,
      headers: body === null ? {} : { "content-type": "application/json" },
      signal: more.signal ?? null,
    });
  } catch (why) {
    if (more.signal?.aborted) throw why;
    throw new Problem(0, "unreachable", String(why));
  }
  if (answer.ok) return answer;
  const said = (await answer.json().catch(() => ({}))) as Partial<Schemas["Problem"]>;
  const wait = Number(answer.headers.get("retry-after"));
  const problem = new Problem(answer.status, said.code ?? "unknown", said.detail ?? answer.statusText, wait || null);
  if (answer.status === 401 && problem.code !== "wrong_password") whenUnknown(problem);
  throw problem;
}

/** Rows of a report. `Row` is what it gives; see `docs/metrics.md`. */
export const report = <Row>(name: string, query: Query, signal?: AbortSignal): Promise<Row[]> =>
  ask("get", "/api/v1/reports/{name}", { in: { name }, query, signal } as More) as Promise<Row[]>;
