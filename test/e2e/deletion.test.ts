import { describe, expect } from '@jest/globals'
import { readSecret, writeSecret } from '../cluster/quickstart/objects.ts'
import type { Run, RunRef } from '../cluster/quickstart/runs.ts'
import { useEnvironment } from '../support/e2e.ts'
import { checkAtTheEnd } from '../support/e2e-checks.ts'
import { type Scenario, scenario } from '../support/e2e-scenario.ts'

/** For a pod to be scheduled, to start and to remove a few files, beside others. */
const REMOVAL_SECONDS = 90
const OBJECTS = [{ query: { name: 'numbers', sql: 'select n from generate_series(1, 1000) as n' } }]

describe('a dump whose artefact goes with it', () => {
  const environment = useEnvironment()
  const remove = (ref: RunRef) => environment.kubectl('delete', 'pgd', ref.name, '--wait=false')
  const isGone = (ref: RunRef) =>
    environment.runs.until(ref, 'gone', REMOVAL_SECONDS, (run) => (run === undefined ? true : undefined))

  /** What the resource said before it went. */
  const lastWords = (ref: RunRef): string | undefined => {
    const { conditions = [] } = environment.runs.history(ref).at(-1)?.status ?? {}
    const { status, reason, message } = conditions.find(({ type }) => type === 'ArtifactRemoved') ?? {}
    return `${status} ${reason}: ${message}`
  }
  const keysOf = (play: Scenario, run: Run) => environment.bucket.keys(play.keyPrefix(run))

  scenario(environment, 'leaves nothing in the bucket, and takes nothing of others', async (play) => {
    const [gone, kept] = await Promise.all([
      play.dump('gone', OBJECTS, { deletionPolicy: 'Delete' }),
      play.dump('kept', OBJECTS),
    ])
    const [first, second] = await Promise.all([play.succeeds(gone), play.succeeds(kept)])
    expect(first.metadata.finalizers).toEqual(['pgpack.io/artifact'])
    expect(await keysOf(play, first)).toHaveLength(2)
    await remove(gone)
    await isGone(gone)
    expect(await keysOf(play, first)).toEqual([])
    expect(await keysOf(play, second)).toHaveLength(2)
    expect(lastWords(gone)).toMatch(/^True Removed: removed everything below s3:/)
  })

  scenario(environment, 'says that its credentials are missing, and goes on when they are back', async (play) => {
    const { cluster, namespace, bucket, kubectl } = environment
    const credentials = await readSecret(cluster, namespace, bucket.secretName)
    const own = 'credentials-of-a-dump'
    await writeSecret(cluster, namespace, own, credentials)
    const { s3 } = play.store()
    const destination = { s3: { ...s3, credentialsSecretRef: { name: own } } }
    const ref = await play.dump('missing', OBJECTS, { deletionPolicy: 'Delete', destination })
    const run = await play.succeeds(ref)
    await kubectl('delete', 'secret', own)
    await remove(ref)
    await environment.runs.until(ref, 'told that its Secret is missing', REMOVAL_SECONDS, (latest) =>
      latest?.status?.conditions?.find(({ type, reason }) => type === 'ArtifactRemoved' && reason === 'SecretNotFound'),
    )
    expect(await keysOf(play, run)).toHaveLength(2)
    await writeSecret(cluster, namespace, own, credentials)
    await isGone(ref)
    expect(await keysOf(play, run)).toEqual([])
  })

  scenario(environment, 'stays in the bucket when the policy changes at the last moment', async (play) => {
    const gate = await play.gate(environment.databases.shop)
    const ref = await play.dump('changed', [{ query: { name: 'held', sql: gate.query } }], { deletionPolicy: 'Delete' })
    await gate.reached()
    await environment.kubectl('patch', 'pgd/changed', '--type=merge', '--patch', '{"spec":{"deletionPolicy":"Retain"}}')
    await gate.open()
    const run = await play.succeeds(ref)
    await environment.runs.until(ref, 'free to go', REMOVAL_SECONDS, (latest) =>
      latest?.metadata.finalizers === undefined ? true : undefined,
    )
    await remove(ref)
    await isGone(ref)
    expect(await keysOf(play, run)).toHaveLength(2)
  })

  describe('afterwards', () => checkAtTheEnd(environment))
})
