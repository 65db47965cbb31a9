// What this browser remembers. Where it may not remember anything, nothing is remembered.

export function kept(name: string): string | null {
  try {
    return localStorage.getItem(`visitlog.${name}`);
  } catch {
    return null;
  }
}

export function keep(name: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(`visitlog.${name}`);
    else localStorage.setItem(`visitlog.${name}`, value);
  } catch {
    // A browser that forgets is no error.
  }
}
