export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(escapeCell).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/** `<cluster>` in a description is not HTML, in code it is shown as it is; a bar ends no cell. */
function escapeCell(text: string): string {
  const html = text.replaceAll(/`[^`]*`|</g, (found) => (found === '<' ? '&lt;' : found))
  return html.replaceAll('|', '\\|').replaceAll('\n', ' ')
}
