import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { isConflict } from '../../../../src/operator/manager/apierror.ts'
import { KubernetesClient } from '../../../../src/operator/manager/client.ts'
import { CONFIG_MAPS, type ConfigMap, JOBS, type Resource } from '../../../../src/operator/manager/resources.ts'
import { RestClient } from '../../../../src/operator/manager/rest.ts'
import { type FakeServer, json, startFakeServer, status } from './fakeserver.ts'

const DUMPS: Resource = {
  group: 'pgpack.io',
  version: 'v1alpha1',
  kind: 'PGPackDump',
  plural: 'pgpackdumps',
  namespaced: true,
}
const REF = { namespace: 'ns', name: 'x' }
const OWNER = { kind: 'PGPackDump', name: 'nightly', uid: 'u1' }

let server: FakeServer
let rest: RestClient
let client: KubernetesClient

beforeEach(async () => {
  server = await startFakeServer()
  rest = new RestClient({ access: server.access, random: () => 0 })
  client = new KubernetesClient(rest)
})

afterEach(async () => {
  rest.close()
  await server.close()
})

function configMap(uid?: string): ConfigMap {
  const owners = [{ apiVersion: 'pgpack.io/v1alpha1', kind: 'PGPackDump', name: 'nightly', uid: uid ?? '' }]
  const ownerReferences = uid === undefined ? [] : owners.map((owner) => ({ ...owner, controller: true }))
  return { metadata: { ...REF, ownerReferences } }
}

describe('KubernetesClient', () => {
  it('reads core and grouped resources by their paths', async () => {
    server.answer(json(200, {}))
    await client.get(CONFIG_MAPS, REF)
    await client.get(DUMPS, REF)
    await client.list(JOBS)
    expect(server.requests.map((request) => request.url)).toEqual([
      '/base/api/v1/namespaces/ns/configmaps/x',
      '/base/apis/pgpack.io/v1alpha1/namespaces/ns/pgpackdumps/x',
      '/base/apis/batch/v1/jobs',
    ])
  })

  it('finds nothing where get throws', async () => {
    server.answer(status(404, 'NotFound'))
    expect(await client.find(JOBS, REF)).toBeUndefined()
    server.answer(status(403, 'Forbidden'))
    await expect(client.find(JOBS, REF)).rejects.toMatchObject({ statusCode: 403 })
  })

  it('lists a page, and gives its items the type the server leaves out', async () => {
    server.answer(json(200, { metadata: { resourceVersion: '7', continue: 'more' }, items: [{ metadata: REF }] }))
    const page = await client.list(JOBS, { namespace: 'ns', labelSelector: 'a=b', limit: 500, continue: 'token' })
    expect(server.requests[0]?.url).toBe(
      '/base/apis/batch/v1/namespaces/ns/jobs?labelSelector=a%3Db&limit=500&continue=token',
    )
    expect(page).toEqual({
      items: [{ apiVersion: 'batch/v1', kind: 'Job', metadata: REF }],
      resourceVersion: '7',
      continue: 'more',
    })
  })

  it('reads a last page, whose token is empty, and a list of nothing, which is null', async () => {
    server.answer(json(200, { metadata: { resourceVersion: '7', continue: '' }, items: null }))
    expect(await client.list(JOBS)).toEqual({ items: [], resourceVersion: '7', continue: undefined })
  })

  it('asks for bookmarks and a time-out when it watches', async () => {
    server.answer((response) => {
      response.writeHead(200)
      response.end('{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}\n')
    })
    const { signal } = new AbortController()
    const events = client.watch(JOBS, { resourceVersion: '7', timeoutSeconds: 300, signal })
    expect(await events.next()).toMatchObject({ value: { type: 'BOOKMARK', resourceVersion: '9' } })
    expect(await events.next()).toMatchObject({ done: true })
    expect(server.requests[0]?.url).toBe(
      '/base/apis/batch/v1/jobs?resourceVersion=7&timeoutSeconds=300&watch=true&allowWatchBookmarks=true',
    )
  })

  it('throws 410 when the server refuses to begin a watch', async () => {
    server.answer(status(410, 'Expired'))
    const { signal } = new AbortController()
    const events = client.watch(JOBS, { resourceVersion: '1', timeoutSeconds: 300, signal })
    await expect(events.next()).rejects.toMatchObject({ statusCode: 410, reason: 'Expired' })
    expect(server.requests).toHaveLength(1)
  })

  it('patches the status as a merge patch on the subresource, on the version it read', async () => {
    server.answer(json(200, {}))
    await client.patchStatus(DUMPS, REF, { phase: 'Running' }, { resourceVersion: '7' })
    await client.patchStatus(DUMPS, REF, { phase: null })
    expect(server.requests[0]).toMatchObject({
      method: 'PATCH',
      url: '/base/apis/pgpack.io/v1alpha1/namespaces/ns/pgpackdumps/x/status',
      headers: { 'content-type': 'application/merge-patch+json' },
      body: { metadata: { resourceVersion: '7' }, status: { phase: 'Running' } },
    })
    expect(server.requests[1]?.body).toEqual({ status: { phase: null } })
  })

  it('applies server-side with its field manager', async () => {
    server.answer(json(200, {}))
    await client.patch(CONFIG_MAPS, REF, configMap(), { type: 'apply', fieldManager: 'pgpack', force: true })
    expect(server.requests[0]?.url).toContain('?fieldManager=pgpack&force=true')
    expect(server.requests[0]?.headers['content-type']).toBe('application/apply-patch+yaml')
  })

  describe('createOwned', () => {
    it('creates the child', async () => {
      server.answer(json(201, configMap('u1')))
      expect(await client.createOwned(CONFIG_MAPS, configMap('u1'), OWNER)).toMatchObject({ created: true })
      expect(server.requests[0]).toMatchObject({ method: 'POST', body: { apiVersion: 'v1', kind: 'ConfigMap' } })
    })

    it('takes a child that is there and its own', async () => {
      server.answer(status(409, 'AlreadyExists'), json(200, configMap('u1')))
      const { object, created } = await client.createOwned(CONFIG_MAPS, configMap('u1'), OWNER)
      expect(created).toBe(false)
      expect(object).toEqual(configMap('u1'))
    })

    it.each([
      ['another one', 'u2'],
      ['nobody', undefined],
    ])('refuses a name that belongs to %s, and says what to do', async (_, uid) => {
      server.answer(status(409, 'AlreadyExists'), json(200, configMap(uid)))
      await expect(client.createOwned(CONFIG_MAPS, configMap('u1'), OWNER)).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
        retryable: true,
        message:
          'ConfigMap ns/x exists and is not controlled by PGPackDump nightly: delete it, or rename the PGPackDump',
      })
    })

    it('leaves it to the next reconcile when the child vanishes in between', async () => {
      server.answer(status(409, 'AlreadyExists'), status(404, 'NotFound'))
      await expect(client.createOwned(CONFIG_MAPS, configMap('u1'), OWNER)).rejects.toMatchObject({
        reason: 'AlreadyExists',
      })
    })
  })

  describe('delete', () => {
    it('deletes in the background, and only the object it means', async () => {
      server.answer(json(200, {}))
      expect(await client.delete(JOBS, REF, { uid: 'u1' })).toBe(true)
      expect(server.requests[0]).toMatchObject({
        method: 'DELETE',
        body: { propagationPolicy: 'Background', preconditions: { uid: 'u1' } },
      })
    })

    it('is content with an object that is gone', async () => {
      server.answer(status(404, 'NotFound'))
      expect(await client.delete(JOBS, REF)).toBe(false)
    })

    it('is content when the name belongs to another object by now', async () => {
      server.answer(status(409, 'Conflict'))
      expect(await client.delete(JOBS, REF, { uid: 'u1' })).toBe(false)
    })

    it('throws when the object has changed since the version it was to be deleted at', async () => {
      server.answer(status(409, 'Conflict'))
      const deleting = client.delete(JOBS, REF, { uid: 'u1', resourceVersion: '7' })
      await expect(deleting.catch(isConflict)).resolves.toBe(true)
    })
  })

  describe('finalizers', () => {
    const withFinalizers = (...finalizers: string[]): ConfigMap => ({
      metadata: { ...REF, resourceVersion: '7', finalizers },
    })

    it('adds one to those that are there, on the version it read', async () => {
      server.answer(json(200, {}))
      await client.addFinalizer(CONFIG_MAPS, withFinalizers('other/f'), 'pgpack.io/f')
      expect(server.requests[0]).toMatchObject({
        method: 'PATCH',
        body: { metadata: { resourceVersion: '7', finalizers: ['other/f', 'pgpack.io/f'] } },
      })
    })

    it('removes its own and no other', async () => {
      server.answer(json(200, {}))
      await client.removeFinalizer(CONFIG_MAPS, withFinalizers('pgpack.io/f', 'other/f'), 'pgpack.io/f')
      expect(server.requests[0]?.body).toEqual({ metadata: { resourceVersion: '7', finalizers: ['other/f'] } })
    })

    it('asks nothing of the server when there is nothing to change', async () => {
      const object = withFinalizers('pgpack.io/f')
      expect(await client.addFinalizer(CONFIG_MAPS, object, 'pgpack.io/f')).toBe(object)
      expect(await client.removeFinalizer(CONFIG_MAPS, object, 'other/f')).toBe(object)
      expect(server.requests).toHaveLength(0)
    })

    it('is content when the object is gone', async () => {
      server.answer(status(404, 'NotFound'))
      const removed = await client.removeFinalizer(CONFIG_MAPS, withFinalizers('pgpack.io/f'), 'pgpack.io/f')
      expect(removed).toBeUndefined()
    })
  })

  it("follows a pod's log", async () => {
    server.answer((response) => response.writeHead(200).end('line 1\nline 2\n'))
    const { signal } = new AbortController()
    const log = await client.logs(REF, { container: 'run', follow: true, tailLines: 10, signal })
    let text = ''
    for await (const chunk of log) text += String(chunk)
    expect(text).toBe('line 1\nline 2\n')
    expect(server.requests[0]?.url).toBe('/base/api/v1/namespaces/ns/pods/x/log?container=run&follow=true&tailLines=10')
  })
})
