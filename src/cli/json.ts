/** JSON for scripts: one line, bigints as decimal strings. */
export function toJSON(value: unknown): string {
  return JSON.stringify(value, (_, member: unknown) => (typeof member === 'bigint' ? String(member) : member))
}
