import type { TSchema } from 'typebox'
import * as Type from 'typebox'
import { object } from '../schema.ts'
import { PGPackDumpKind, PGPackDumpSpec } from './dump.ts'
import { API_VERSION, GROUP, type KindInfo, VERSION } from './group.ts'
import { PGPackRestoreKind, PGPackRestoreSpec } from './restore.ts'
import { RunStatus } from './status.ts'
import { PGPackTransferKind, PGPackTransferSpec } from './transfer.ts'

const column = (name: string, jsonPath: string, description: string, options: Record<string, unknown> = {}) => ({
  name,
  type: 'string',
  jsonPath,
  description,
  ...options,
})

const WIDE = { priority: 1 }

/** What `kubectl get pgpack` shows: the run's story in one line. */
const printerColumns = [
  column('Phase', '.status.phase', 'Where the run stands.'),
  column('Progress', '.status.progress.display', 'How much is done.'),
  column('Rows', '.status.progress.rows', 'Rows moved.', { type: 'integer' }),
  column('Size', '.status.progress.size', 'Bytes in the store, or moved where there is none.'),
  column('Age', '.metadata.creationTimestamp', 'Time since creation.', { type: 'date' }),
  column('Rate', '.status.progress.rate', 'Bytes a second.', WIDE),
  column('Left', '.status.progress.timeLeft', 'Time left, where the size is known.', WIDE),
  column('Reason', '.status.conditions[?(@.type=="Succeeded")].reason', 'Why it stands there.', WIDE),
  column('Attempts', '.status.attempts', 'Pods started.', { type: 'integer', ...WIDE }),
  column('Job', '.status.jobName', 'The Job of the run.', WIDE),
]

function customResourceDefinition(info: KindInfo, spec: TSchema) {
  const properties = {
    apiVersion: Type.Optional(Type.String({ description: API_VERSION })),
    kind: Type.Optional(Type.String({ description: info.kind })),
    metadata: Type.Optional(object({})),
    spec,
    status: Type.Optional(RunStatus),
  }
  const schema = structural(object(properties, { description: info.description }))
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${info.plural}.${GROUP}`, labels: { 'app.kubernetes.io/name': 'pgpack-operator' } },
    spec: {
      group: GROUP,
      scope: 'Namespaced',
      names: {
        kind: info.kind,
        listKind: `${info.kind}List`,
        plural: info.plural,
        singular: info.singular,
        shortNames: [info.shortName],
        categories: ['pgpack'],
      },
      versions: [
        {
          name: VERSION,
          served: true,
          storage: true,
          additionalPrinterColumns: printerColumns,
          subresources: { status: {} },
          schema: { openAPIV3Schema: schema },
        },
      ],
    },
  }
}

/**
 * A schema that the run's configuration shares says additionalProperties false; a structural schema must not (the API
 * server prunes what it does not know, or refuses it under strict validation).
 */
function structural(schema: TSchema): unknown {
  const text = JSON.stringify(schema, (key, value) => (key === 'additionalProperties' && !value ? undefined : value))
  return JSON.parse(text)
}

/** The CRDs as the API server takes them, one a kind; crds/ and the chart's templates are generated from them. */
export const customResourceDefinitions = [
  customResourceDefinition(PGPackDumpKind, PGPackDumpSpec),
  customResourceDefinition(PGPackRestoreKind, PGPackRestoreSpec),
  customResourceDefinition(PGPackTransferKind, PGPackTransferSpec),
]
