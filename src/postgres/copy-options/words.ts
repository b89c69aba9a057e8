import type { CopyCell, CopyFeature, CopyTarget } from './table.ts'

/** `header Match (HEADER MATCH)`. */
export function nameOf({ option, value, keyword }: CopyFeature): string {
  return `${option}${value === undefined ? '' : ` ${value}`} (${keyword})`
}

/** `COPY FROM in CSV on PostgreSQL 17.4`. */
export function describeTarget({ format, direction, flavour, versionNumber }: CopyTarget): string {
  return `COPY ${direction.toUpperCase()} in ${format} on ${serverName(flavour, versionText(versionNumber))}`
}

/** `COPY FROM in Text or CSV on PostgreSQL 17 or later`: only what matters, but always the server. */
export function describeCell({ flavour, formats, directions, since, until }: CopyCell): string {
  const copy = directions === undefined ? 'COPY' : `COPY ${directions.join(' or ').toUpperCase()}`
  const format = formats === undefined ? '' : ` in ${formats.join(' or ')}`
  return `${copy}${format} on ${serverName(flavour, describeVersions({ since, until }))}`
}

/** `12 or later`, `before 12`; empty for every version. */
export function describeVersions({ since, until }: { since?: number | undefined; until?: number | undefined }): string {
  const range = [since && `${versionText(since)} or later`, until && `before ${versionText(until)}`]
  return range.filter(Boolean).join(', ')
}

function serverName(flavour: CopyCell['flavour'], version: string): string {
  const name = flavour === 'Greenplum' ? 'Greenplum (PostgreSQL' : 'PostgreSQL'
  if (version === '') return flavour
  return `${name} ${version}${flavour === 'Greenplum' ? ')' : ''}`
}

/** 180003 is 18.3, 180000 as a boundary 18; 90426 is 9.4.26. */
function versionText(number: number): string {
  const major = Math.floor(number / 10_000)
  const parts = major >= 10 ? [major, number % 10_000] : [major, Math.floor(number / 100) % 100, number % 100]
  return (parts.at(-1) === 0 ? parts.slice(0, -1) : parts).join('.')
}
