/** A name, `=`, and a value that is bare or in quotes; a backslash takes the next character as it is. */
const SETTING = /\s*([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|$)/suy

/**
 * The settings of a `host=db user=me password='p w'` connection string (libpq, "Keyword/Value Connection Strings"),
 * the last one of a name; undefined where the text is none.
 */
export function parseConninfo(text: string): Readonly<Record<string, string>> | undefined {
  // Not an object: `__proto__` is a name like any other here.
  const values = new Map<string, string>()
  const end = text.trimEnd().length
  let offset = 0
  while (offset < end) {
    SETTING.lastIndex = offset
    const match = SETTING.exec(text)
    if (match === null) return undefined
    const [whole, name = '', quoted, bare = ''] = match
    values.set(name, (quoted ?? bare).replaceAll(/\\(.)/gsu, '$1'))
    offset += whole.length
  }
  return offset === 0 ? undefined : Object.fromEntries(values)
}
