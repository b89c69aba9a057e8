import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { RequestOptions } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals'
import type { KubeConfig } from '@kubernetes/client-node'
import { type ClusterAccess, createInClusterAccess } from '../../../../src/operator/manager/access.ts'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pgpack-access-'))
  await writeFile(join(directory, 'token'), 'first\n')
  await writeFile(join(directory, 'ca.crt'), 'CERTIFICATE')
  await writeFile(join(directory, 'namespace'), 'pgpack-system')
})

afterEach(async () => {
  jest.restoreAllMocks()
  await rm(directory, { recursive: true })
})

async function optionsOf(access: ClusterAccess): Promise<RequestOptions> {
  const options: RequestOptions = { headers: { accept: 'x' } }
  await access.applyToHTTPSOptions(options)
  return options
}

describe('createInClusterAccess', () => {
  it('sends the token and trusts the CA of the service account', async () => {
    const access = createInClusterAccess({ host: '10.96.0.1', port: '443', directory })
    expect(access.getCurrentCluster()).toEqual({ server: 'https://10.96.0.1:443' })
    expect(await optionsOf(access)).toEqual({
      ca: 'CERTIFICATE',
      headers: { accept: 'x', authorization: 'Bearer first' },
    })
  })

  it('brackets an IPv6 address', () => {
    const access = createInClusterAccess({ host: 'fd00::1', port: '443', directory })
    expect(access.getCurrentCluster()?.server).toBe('https://[fd00::1]:443')
  })

  it('takes up a rotated token within a minute, without reading it for every request', async () => {
    const access = createInClusterAccess({ host: '10.96.0.1', port: '443', directory })
    const now = jest.spyOn(performance, 'now').mockReturnValue(1_000)
    await optionsOf(access)
    await writeFile(join(directory, 'token'), 'second')
    expect((await optionsOf(access)).headers).toMatchObject({ authorization: 'Bearer first' })
    now.mockReturnValue(61_001)
    expect((await optionsOf(access)).headers).toMatchObject({ authorization: 'Bearer second' })
  })

  it('fails without a token, and reads again the next time', async () => {
    const access = createInClusterAccess({ host: '10.96.0.1', port: '443', directory })
    await rm(join(directory, 'token'))
    await expect(optionsOf(access)).rejects.toMatchObject({ code: 'ENOENT' })
    await writeFile(join(directory, 'token'), 'late')
    expect((await optionsOf(access)).headers).toMatchObject({ authorization: 'Bearer late' })
  })

  it("has the shape of client-node's KubeConfig", () => {
    const accepts = (config: KubeConfig): ClusterAccess => config
    expect(accepts).toBeInstanceOf(Function)
  })
})
