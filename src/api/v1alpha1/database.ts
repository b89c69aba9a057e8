import * as Type from 'typebox'
import { CHANNEL_BINDINGS, TARGET_SESSION_ATTRS, TLS_MODES } from '../../postgres/types.ts'
import { choice, integer, localRef, object, rules, type Static, secretKeyRef, text } from '../schema.ts'

const tls = object(
  {
    mode: Type.Optional(
      choice(
        TLS_MODES,
        "What libpq's sslmode says, instead of the Secret's uri; Prefer when neither says it, which tries TLS and goes on without. VerifyFull also checks the server's name.",
      ),
    ),
    channelBinding: Type.Optional(
      choice(
        CHANNEL_BINDINGS,
        "Whether SCRAM proves that nobody sits between us and the server, instead of the Secret's uri; Require refuses a server that cannot. Prefer when neither says it.",
      ),
    ),
    caSecretRef: Type.Optional(
      secretKeyRef("Certificate authority that signed the server's certificate, PEM.", 'ca.crt'),
    ),
    certSecretRef: Type.Optional(
      localRef('A kubernetes.io/tls Secret (tls.crt, tls.key) with the client certificate.'),
    ),
  },
  {
    description: 'TLS of the connection.',
    ...rules({
      rule: "!(has(self.mode) && self.mode in ['VerifyCA', 'VerifyFull']) || has(self.caSecretRef)",
      message: 'tls.mode VerifyCA and VerifyFull need tls.caSecretRef',
    }),
  },
)

/** A PostgreSQL or Greenplum database and who connects to it. */
export const DatabaseSpec = (description: string) =>
  object(
    {
      secretRef: localRef(
        'Secret with the connection: of CloudNativePG (<cluster>-app), Crunchy (<cluster>-pguser-<user>), Zalando, or with the key uri.',
      ),
      host: Type.Optional(
        text("Host instead of the Secret's; several parted by commas are tried in their order.", 1024, {
          pattern: '^[^,\\s]+(,[^,\\s]+)*$',
        }),
      ),
      port: Type.Optional(integer("Port instead of the Secret's.", 1, 65535)),
      database: Type.Optional(text("Database instead of the Secret's.", 63)),
      targetSessionAttrs: Type.Optional(
        choice(
          TARGET_SESSION_ATTRS,
          "Which of several hosts will do, as libpq has it, instead of the Secret's uri; Any when neither says it.",
        ),
      ),
      tls: Type.Optional(tls),
    },
    { description },
  )

export type DatabaseSpec = Static<ReturnType<typeof DatabaseSpec>>
