import { once } from 'node:events'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { checkInstallation } from '../../../src/operator/index.ts'
import { CHART, helm, installChart, RELEASE } from '../../support/release.ts'
import { TestCluster } from '../operator/controllers/cluster.ts'

let cluster: TestCluster

beforeAll(async () => {
  cluster = await TestCluster.start({ crds: false })
}, 120_000)
afterAll(() => cluster.stop())

const signal = AbortSignal.timeout(120_000)
const onCluster = () => [RELEASE.name, '--namespace', RELEASE.namespace, '--kubeconfig', cluster.kubeconfig]

describe('a release', () => {
  it('that lacks the CRDs does not pass its check', async () => {
    await expect(checkInstallation({ access: cluster.access, namespaces: [] }, signal)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('PGPackDump is not served: install the CRDs'),
    })
  })

  it('upgrades the CRDs with the chart, and leaves them behind', async () => {
    const old = await mkdtemp(join(tmpdir(), 'pgpack-chart-'))
    try {
      await cp(CHART, old, { recursive: true })
      const crd = join(old, 'templates/crds/pgpackdumps.yaml')
      await writeFile(crd, (await readFile(crd, 'utf8')).replace('- pgd\n', '- old\n'))
      const shortNames = async () => (await cluster.crd('pgpackdumps.pgpack.io')).spec?.names?.shortNames
      await helm('install', ...onCluster(), '--create-namespace', old)
      expect(await shortNames()).toEqual(['old'])
      await helm('upgrade', ...onCluster(), CHART)
      expect(await shortNames()).toEqual(['pgd'])
      await helm('uninstall', ...onCluster())
      expect(await shortNames()).toEqual(['pgd'])
    } finally {
      await rm(old, { recursive: true })
    }
  }, 60_000)

  it('passes its check when all is there and an operator is ready, and says of one that is not', async () => {
    await installChart(cluster.kubeconfig)
    let state = { code: 200, body: 'ok' }
    const server = createServer((_, response) => response.writeHead(state.code).end(state.body)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const check = () => checkInstallation({ access: cluster.access, namespaces: [], url }, signal)
    expect(await check()).toEqual([
      'PGPackDump (pgpack.io/v1alpha1) is served, and may be listed in all namespaces',
      'PGPackRestore (pgpack.io/v1alpha1) is served, and may be listed in all namespaces',
      'PGPackTransfer (pgpack.io/v1alpha1) is served, and may be listed in all namespaces',
      `the operator at ${url} is ready`,
    ])
    state = { code: 503, body: '[-]informers failed: not synced: pgpackdumps' }
    await expect(check()).rejects.toThrow('is not ready: [-]informers failed')
    server.close()
    await once(server, 'close')
    await expect(check()).rejects.toThrow('ECONNREFUSED')
  }, 60_000)
})
