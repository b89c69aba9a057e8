import * as Type from 'typebox'
import { DESCENDANTS } from '../../run/config.ts'
import { choice, object, text } from '../schema.ts'
import { identifier, relationMembers } from './relation.ts'

/** What is read: the members of the unions `objects` of a dump and of a transfer. */

export const table = object(
  {
    ...relationMembers,
    columns: Type.Optional(
      Type.Array(identifier('Column name.'), {
        description: 'Columns to read, in this order; all of them when not given.',
        minItems: 1,
        maxItems: 1600,
        'x-kubernetes-list-type': 'atomic',
      }),
    ),
    where: Type.Optional(text('SQL condition that the rows meet.', 16384)),
    descendants: Type.Optional(
      choice(
        DESCENDANTS,
        'Whether the rows of inheritance children are read too, as SELECT does; COPY leaves them out. Partitions are always read.',
        { default: 'Exclude' },
      ),
    ),
  },
  { description: 'A table, view, materialized view, foreign or partitioned table.' },
)

const patterns = (description: string, options: Record<string, unknown>) =>
  Type.Optional(
    Type.Array(text('Glob: * any characters, ? one, [a-z] one of a set.', 127), {
      description,
      maxItems: 64,
      'x-kubernetes-list-type': 'atomic',
      ...options,
    }),
  )

export const tables = object(
  {
    schema: Type.Optional(text('Schema, spelled as in the catalog.', 63, { default: 'public' })),
    include: patterns('Names to read.', { minItems: 1, default: ['*'] }),
    exclude: patterns('Names to leave out.', { minItems: 1 }),
  },
  { description: 'The tables of a schema by the patterns of their names; partitions come with their parent.' },
)

export const query = object(
  {
    name: identifier("The object's name in the artefact."),
    sql: text('One SELECT (or WITH … SELECT, VALUES, TABLE) without a semicolon.', 65536),
  },
  { description: 'The rows of a query.' },
)
