import * as Type from 'typebox'
import { ANALYZES, EXPLAINS, ISOLATIONS, RESTORE_MODES, RUN_MODES, TRANSACTIONS } from '../../run/config.ts'
import { choice, integer, object, text } from '../schema.ts'

/** Fields that dumps, restores and transfers have alike. */

const DAY = 24 * 3600

export const session = (whose: string) =>
  Type.Optional(
    object(
      {
        isolation: Type.Optional(
          choice(ISOLATIONS, 'Isolation of the transaction; ReadCommitted goes with one object and one connection.'),
        ),
        statementTimeoutSeconds: Type.Optional(integer('Time for one statement; 0 for none.', 0, 365 * DAY)),
        lockTimeoutSeconds: Type.Optional(integer('How long a statement may wait for a lock; 0 for ever.', 0, DAY)),
        settings: Type.Optional(
          Type.Array(
            object({
              name: text('Name of a server setting.', 128, { pattern: '^[A-Za-z_][A-Za-z0-9_.$]*$' }),
              value: Type.String({ description: 'Its value, as SET takes it.', maxLength: 1024 }),
            }),
            {
              description: 'Server settings of the session, as SET has them.',
              minItems: 1,
              maxItems: 64,
              'x-kubernetes-list-type': 'map',
              'x-kubernetes-list-map-keys': ['name'],
            },
          ),
        ),
      },
      { description: whose },
    ),
  )

export const statements = (description: string) =>
  Type.Optional(
    Type.Array(text('One SQL statement.', 65536), {
      description,
      minItems: 1,
      maxItems: 32,
      'x-kubernetes-list-type': 'atomic',
    }),
  )

export const parallelism = (description: string) =>
  Type.Optional(
    object(
      { connections: Type.Optional(integer(description, 1, 64, { default: 1 })) },
      { description: 'How much is done at once.', default: {} },
    ),
  )

export const runMode = Type.Optional(
  choice(
    RUN_MODES,
    'DryRun connects, plans and checks both sides, shows in status.plan what would happen, and writes nothing.',
    { default: 'Run' },
  ),
)

export const explain = Type.Optional(
  choice(EXPLAINS, "Plan writes the server's plan of each query to the log before it runs.", { default: 'None' }),
)

export const suspend = (description: string) => Type.Optional(Type.Boolean({ description }))

/** What a restore and a transfer say of the target. */
export const loading = {
  mode: Type.Optional(
    choice(
      RESTORE_MODES,
      'Append adds the rows; Truncate empties each table first, in the same transaction; Replace loads beside it and fills it anew in one short transaction; CreateIfMissing makes a table that is not there.',
      { default: 'Append' },
    ),
  ),
  transaction: Type.Optional(
    choice(
      TRANSACTIONS,
      'All: every object in one transaction. PerObject: one for each (and for each part, with several connections).',
    ),
  ),
  before: statements('SQL that runs on the target before the first row.'),
  after: statements('SQL that runs on the target after the last row.'),
  session: session("The target's session."),
  analyze: Type.Optional(
    choice(ANALYZES, 'Whether each loaded table is analysed, for the planner.', { default: 'Always' }),
  ),
  parallelism: parallelism('Connections that write at once.'),
}

/** What cannot go together, whatever the kind. */
export const loadingRules = [
  {
    rule: "!has(self.transaction) || self.transaction != 'All' || !has(self.parallelism) || !has(self.parallelism.connections) || self.parallelism.connections == 1",
    message: 'transaction All goes with one connection: several connections are several transactions',
  },
]
