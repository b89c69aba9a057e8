/**
 * A child process that patches the status of one resource of the cluster of a kubeconfig, one request after the other
 * with pauses, and prints the milliseconds of each: what a status patch costs here and now, without any operator. The
 * resource is of a kind of its own with the schema of PGPackDump, which nobody watches.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { plainCustomResourceDefinitions } from '../../scripts/generate/crds.ts'
import { PGPackDumpKind } from '../../src/api/v1alpha1/dump.ts'
import { VERSION } from '../../src/api/v1alpha1/group.ts'
import type { ApiObject, Resource } from '../../src/operator/manager/resources.ts'
import { dump } from '../integration/operator/controllers/manifests.ts'
import { type CustomResourceDefinition, TestApiServer } from '../support/api-server.ts'

const PAUSE_MS = 100
const GROUP = 'probe.pgpack.io'
const { kind, plural } = PGPackDumpKind
const PROBES: Resource = { group: GROUP, version: VERSION, kind, plural, namespaced: true }

function probeDefinition(): CustomResourceDefinition {
  const definition = plainCustomResourceDefinitions().find(({ metadata }) => metadata.name.startsWith(`${plural}.`))
  if (definition === undefined) throw new Error(`there is no CRD of ${plural}`)
  const { listKind, singular } = definition.spec.names
  const names = { kind, listKind, plural, singular }
  return { ...definition, metadata: { name: `${plural}.${GROUP}` }, spec: { ...definition.spec, group: GROUP, names } }
}

const [, , kubeconfig = ''] = process.argv
const server = new TestApiServer({ kubeconfig, stop: async () => undefined })
await server.define(probeDefinition())
const { metadata, spec } = dump('default', 'probe')
await server.client.create(PROBES, { metadata, spec } as ApiObject)
for (let count = 0; ; count++) {
  const progress = { objects: 1, objectsDone: 0, rows: count, bytes: count, storedBytes: count }
  const startedAt = performance.now()
  await server.client.patchStatus(PROBES, metadata, { phase: 'Running', progress })
  process.stdout.write(`${performance.now() - startedAt}\n`)
  await pause(PAUSE_MS)
}
