// Who is signed in, and what they may.
import { ask, onUnknown, Problem, type Schemas } from "./api";

export type Scope = Schemas["Token"]["scopes"][number];
type Who = { who: string; account: string | null; role: string | null; scopes: Scope[] };

class Session {
  /** `undefined` until it is known. */
  who: Who | null | undefined = $state.raw(undefined);
  /** There is no account yet. */
  isToBeSetUp = $state(false);
  /** The server can't be asked. */
  problem: Problem | null = $state.raw(null);

  may(scope: Scope): boolean {
    return this.who?.scopes.includes(scope) ?? false;
  }

  async load(): Promise<void> {
    try {
      this.who = (await ask("get", "/api/v1/session")) as Who;
      this.problem = null;
      this.isToBeSetUp = false;
    } catch (why) {
      if (!(why instanceof Problem)) throw why;
      if (why.status !== 401) this.problem = why;
    }
  }

  async signIn(name: string, password: string): Promise<void> {
    await ask("post", "/api/v1/session", { body: { name, password } });
    await this.load();
  }

  async signOut(): Promise<void> {
    await ask("delete", "/api/v1/session");
    this.who = null;
  }

  unknown(problem: Problem): void {
    this.isToBeSetUp = problem.code === "not_set_up";
    this.problem = null;
    this.who = null;
  }
}

export const session = new Session();
onUnknown((problem) => session.unknown(problem));
