import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from '@jest/globals'
import { executeDump } from '../../../src/cli/execute-dump.ts'
import type { DumpRunConfig } from '../../../src/run/config.ts'
import { failureOf, testContext, useFolder } from '../../support/engine.ts'
import { usePostgres } from '../../support/postgres.ts'

const postgres = usePostgres({
  authentication: 'scram-sha-256',
  setup: 'CREATE TABLE orders AS SELECT generate_series(1, 10) AS id',
})
const folder = useFolder()
const secretDir = () => join(folder.path, 'database')
const storeDir = () => join(folder.path, 'store')

beforeEach(async () => {
  await mkdir(secretDir())
  await mkdir(storeDir())
})

/** What the kubelet does when the Secret changes: the files of the next pod are others. */
async function mountSecret(password: string): Promise<void> {
  const { host, port, user } = postgres.server
  const files = { host, port: String(port), user, password, dbname: postgres.database.name }
  for (const [name, value] of Object.entries(files)) await writeFile(join(secretDir(), name), value)
}

const config = (): DumpRunConfig => ({
  version: 1,
  kind: 'Dump',
  namespace: 'shop',
  name: 'orders',
  uid: '1a2b3c4d-0000-4000-8000-000000000000',
  source: { secretDir: secretDir(), tls: { mode: 'Disable' } },
  objects: [{ table: { schema: 'public', name: 'orders' } }],
  compression: { method: 'Zstd' },
  connections: 1,
  destination: { type: 'Filesystem', path: storeDir() },
  path: 'shop/orders-1a2b3c4d',
})

describe('credentials that rotate', () => {
  it('are those of the Secret as it is when an attempt starts', async () => {
    await mountSecret('of yesterday')
    expect(await failureOf(executeDump(config(), 'pod-1', testContext()))).toMatchObject({
      code: 'POSTGRES_AUTHENTICATION',
    })
    await mountSecret(postgres.server.password)
    await expect(executeDump(config(), 'pod-2', testContext())).resolves.toMatchObject({
      totals: { rows: '10' },
      artifact: { path: 'shop/orders-1a2b3c4d/pod-2' },
    })
  })

  it('do not keep an attempt from removing what the one before it left', async () => {
    await mountSecret(postgres.server.password)
    const left = join(storeDir(), 'shop/orders-1a2b3c4d/pod-1')
    await mkdir(left, { recursive: true })
    await writeFile(join(left, 'public.orders.pgpack'), 'half of a file')
    await executeDump(config(), 'pod-2', testContext())
    await expect(writeFile(join(left, 'x'), '')).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
