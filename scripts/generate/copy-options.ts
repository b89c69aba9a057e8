import { VALUE_RULES } from '../../src/postgres/copy-options/rules.ts'
import { COPY_FORMATS } from '../../src/postgres/copy-options/schema.ts'
import {
  COPY_DIRECTIONS,
  COPY_FEATURES,
  type CopyCell,
  type CopyFeature,
} from '../../src/postgres/copy-options/table.ts'
import { describeVersions } from '../../src/postgres/copy-options/words.ts'
import type { Flavour } from '../../src/postgres/types.ts'
import { table } from './markdown.ts'

const SERVERS: readonly (readonly [Flavour, string])[] = [
  ['PostgreSQL', 'PostgreSQL 10 to 18.'],
  [
    'Greenplum',
    'Greenplum 6 is made of PostgreSQL 9.4; Greenplum 7 and YMatrix are made of PostgreSQL 12, Cloudberry of 14. The versions in the table are those of PostgreSQL.',
  ],
]

const COLUMNS = COPY_DIRECTIONS.flatMap((direction) => COPY_FORMATS.map((format) => ({ direction, format })))

/** docs/reference/copy-options.md: every option of COPY by format, direction, version and flavour. */
export function copyOptionsPage(): string {
  const tables = SERVERS.flatMap(([flavour, text]) => [`## ${flavour}`, text, flavourTable(flavour)])
  return [
    '# Options of COPY',
    'What `copyOptions` can say where `format` is Binary, Text or CSV. It is checked against the version of the server, from this same table, before anything moves; every problem is told at once, with what was found and what is needed.',
    'A cell tells the versions that have the option; `–` is an error of the server; "no effect" is taken by the server in silence, and refused here all the same. PGPack takes the options of Binary. A value that is the default of the server (`Absent`, `Stop`, `Default`, `false`) asks for nothing and can always be given.',
    ...tables,
    '## Values',
    VALUE_RULES.map(({ text }) => `- ${text}`).join('\n'),
    '## Options that need others',
    COPY_FEATURES.flatMap((feature) => companyRules(feature)).join('\n'),
    '',
  ].join('\n\n')
}

function flavourTable(flavour: Flavour): string {
  const head = [
    'Option',
    'SQL',
    ...COLUMNS.map(({ direction, format }) => `${direction.toUpperCase()} ${format}`),
    'Example',
  ]
  const rows = COPY_FEATURES.filter(({ allowed, ignored = [] }) => has(allowed, flavour) || has(ignored, flavour)).map(
    (feature) => [
      labelOf(feature),
      `\`${feature.keyword}\``,
      ...COLUMNS.map((column) => cellText(feature, flavour, column)),
      `\`${JSON.stringify(feature.example)}\``,
    ],
  )
  return table(head, rows)
}

function has(cells: readonly CopyCell[], flavour: Flavour): boolean {
  return cells.some((cell) => cell.flavour === flavour)
}

function cellText(feature: CopyFeature, flavour: Flavour, column: (typeof COLUMNS)[number]): string {
  const here = (cells: readonly CopyCell[] = []) =>
    cells.filter(
      ({ flavour: of, formats, directions }) =>
        of === flavour &&
        formats?.includes(column.format) !== false &&
        directions?.includes(column.direction) !== false,
    )
  const allowed = here(feature.allowed).map((cell) => describeVersions(cell) || 'yes')
  const ignored = here(feature.ignored).map((cell) => ['no effect', describeVersions(cell)].filter(Boolean).join(', '))
  return [...allowed, ...ignored].join('; ') || '–'
}

function labelOf({ option, value }: Pick<CopyFeature, 'option' | 'value'>): string {
  if (value === undefined) return `\`${option}\``
  return value === '*' ? `\`${option}: ["*"]\`` : `\`${option}: ${value}\``
}

function companyRules({ requires, tableOnly, ...feature }: CopyFeature): string[] {
  return [
    ...(requires === undefined ? [] : [`- ${labelOf(feature)} needs ${labelOf(requires)}.`]),
    ...(tableOnly ? [`- ${labelOf(feature)} needs the COPY of a whole table: no query, no \`where\`.`] : []),
  ]
}
