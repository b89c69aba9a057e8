import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { describe, expect, it, jest } from '@jest/globals'
import { S3Store } from '../../../src/storage/s3.ts'
import { MIB, FIRST_PART_SIZE as PART } from '../../../src/storage/s3parts.ts'
import { collect, never, pseudoRandomBytes, putBytes, toArray } from '../../support/bytes.ts'
import { useMinio } from '../../support/minio.ts'

jest.setTimeout(120_000)

const minio = useMinio()

function store(prefix = ''): S3Store {
  return new S3Store(minio.server.options(minio.bucket, { prefix }))
}

describe('an object in a bucket', () => {
  it.each([0, 1, PART - 1, PART, PART + 1, 2 * PART - 1, 2 * PART, 2 * PART + 1, 5 * PART + 12_345])(
    'comes back as it was written at %i bytes',
    async (size) => {
      const bytes = pseudoRandomBytes(size, size)
      const s3 = store()
      expect(await putBytes(s3, 'a/b.pgpack', bytes)).toEqual({ key: 'a/b.pgpack', size })
      expect(await s3.stat('a/b.pgpack', never())).toEqual({ key: 'a/b.pgpack', size })
      expect((await collect(s3.read('a/b.pgpack', never()))).equals(bytes)).toBe(true)
      expect(await minio.server.unfinishedUploads()).toEqual([])
      s3.close()
    },
  )

  it.each([1, PART, PART + 1, 3 * PART])('gets its head at the end, at %i bytes of body', async (size) => {
    const head = pseudoRandomBytes(4321, 7)
    const bytes = pseudoRandomBytes(size, size)
    const s3 = store()
    expect(await putBytes(s3, 'h', bytes, { head })).toEqual({ key: 'h', size: size + head.length })
    const whole = await collect(s3.read('h', never()))
    expect(whole.subarray(0, head.length).equals(head)).toBe(true)
    expect(whole.subarray(head.length).equals(bytes)).toBe(true)
    s3.close()
  })

  it('gets a head that is larger than a part', async () => {
    const head = pseudoRandomBytes(PART + 5, 1)
    const bytes = pseudoRandomBytes(PART, 2)
    const s3 = store()
    await putBytes(s3, 'h', bytes, { head })
    expect((await collect(s3.read('h', never()))).equals(Buffer.concat([head, bytes]))).toBe(true)
    s3.close()
  })

  it('may be written in chunks of any size', async () => {
    const bytes = pseudoRandomBytes(3 * PART + 17, 3)
    const s3 = store()
    await putBytes(s3, 'small', bytes, { chunkSize: 8191 })
    await putBytes(s3, 'large', bytes, { chunkSize: bytes.length })
    expect((await collect(s3.read('small', never()))).equals(bytes)).toBe(true)
    expect((await collect(s3.read('large', never()))).equals(bytes)).toBe(true)
    s3.close()
  })

  it('can be read in part', async () => {
    const bytes = pseudoRandomBytes(40 * MIB, 4)
    const s3 = store()
    await putBytes(s3, 'x', bytes)
    const ranges: [number, number | undefined][] = [
      [0, 0],
      [0, 1],
      [5, 9 * MIB],
      [39 * MIB, undefined],
      [40 * MIB, undefined],
      [8 * MIB, 16 * MIB],
    ]
    for (const [offset, length] of ranges) {
      const range = length === undefined ? { offset } : { offset, length }
      const expected = bytes.subarray(offset, length === undefined ? undefined : offset + length)
      expect((await collect(s3.read('x', never(), range))).equals(expected)).toBe(true)
    }
    s3.close()
  })

  it('is not read beyond its end', async () => {
    const s3 = store()
    await putBytes(s3, 'x', Buffer.from('abc'))
    await expect(collect(s3.read('x', never(), { offset: 2, length: 2 }))).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringContaining('x has 3 bytes'),
    })
    s3.close()
  })

  it('that is not there says so', async () => {
    const s3 = store('some/prefix')
    const missing = { code: 'STORE_NO_OBJECT', retryable: false, message: expect.stringContaining('nothing.pgpack') }
    await expect(s3.stat('nothing.pgpack', never())).rejects.toMatchObject(missing)
    await expect(collect(s3.read('nothing.pgpack', never()))).rejects.toMatchObject(missing)
    s3.close()
  })

  it('is not left half read: a reader that leaves early ends its requests', async () => {
    const s3 = store()
    await putBytes(s3, 'x', pseudoRandomBytes(64 * MIB))
    for await (const chunk of s3.read('x', never())) {
      expect(chunk.length).toBeGreaterThan(0)
      break
    }
    expect((await collect(s3.read('x', never(), { offset: 10, length: 10 }))).length).toBe(10)
    s3.close()
  })
})

describe('keys', () => {
  it('may hold what escaping leaves, and what S3 allows beside', async () => {
    const s3 = store('pre fix/ünï+cödé')
    const keys = ['%2F.%00~a.pgpack', 'a b&c<d>"\'.pgpack', 'ж/+/=?#.pgpack', '007', '1e5/0x10'].sort()
    for (const key of keys) await putBytes(s3, key, Buffer.from(key))
    const listed: string[] = []
    for await (const { key, size } of s3.list('', never())) {
      expect(size).toBe(Buffer.byteLength(key))
      listed.push(key)
    }
    expect(listed.sort()).toEqual(keys)
    for (const key of keys) expect((await collect(s3.read(key, never()))).toString()).toBe(key)
    await s3.remove(keys, never())
    expect(await toArray(s3.list('', never()))).toEqual([])
    s3.close()
  })

  it('of more than one page are all listed, and removed with some that are not there', async () => {
    const s3 = store('many')
    const keys = Array.from({ length: 1003 }, (_, i) => `k${String(i).padStart(5, '0')}`)
    for (let i = 0; i < keys.length; i += 50) {
      await Promise.all(keys.slice(i, i + 50).map((key) => putBytes(s3, key, Buffer.from('x'))))
    }
    await putBytes(store(''), 'other', Buffer.from('y'))
    expect((await toArray(s3.list('', never()))).map(({ key }) => key)).toEqual(keys)
    expect((await toArray(s3.list('k0100', never()))).map(({ key }) => key)).toEqual(['k01000', 'k01001', 'k01002'])
    await s3.remove([...keys, 'never-there'], never())
    expect(await toArray(s3.list('', never()))).toEqual([])
    expect(await store('').stat('other', never())).toEqual({ key: 'other', size: 1 })
    s3.close()
  })

  it.each(['', '/a', 'a//b', '../a', 'a/./b', 'a/..', 'a\u0000b', 'a\nb', 'x'.repeat(1025), '\ud800'])(
    'that no store can hold are refused before anything is sent (%#)',
    async (key) => {
      const s3 = store()
      await expect(async () => s3.upload(key, { signal: never() })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
      s3.close()
    },
  )
})

describe('a bucket', () => {
  it.each(['', 'a/b', 'a b', '../x', 'a\r\nb', 'bücket'])(
    'that cannot be one is refused before anything is sent (%#)',
    (bucket) => {
      expect(() => new S3Store(minio.server.options(bucket))).toThrow(
        expect.objectContaining({ code: 'CONFIG_INVALID' }),
      )
    },
  )
})

describe('check', () => {
  it('passes for a bucket that can be listed', async () => {
    const s3 = store('not/yet/there')
    await s3.check(never())
    expect(s3.location).toBe(`s3://${minio.bucket}/not/yet/there`)
    s3.close()
  })

  it('names the bucket that does not exist, and the endpoint', async () => {
    const s3 = new S3Store(minio.server.options('no-such-bucket'))
    await expect(s3.check(never())).rejects.toMatchObject({
      code: 'STORE_NO_BUCKET',
      retryable: false,
      message: expect.stringMatching(/bucket no-such-bucket in .* at http:\/\/127\.0\.0\.1:\d+.*create the bucket/),
    })
    s3.close()
  })

  it.each([
    ['secretAccessKey', 'wrongwrongwrongwrong', 'SignatureDoesNotMatch'],
    ['accessKeyId', 'AKIDUNKNOWNUNKNOWN', 'InvalidAccessKeyId'],
  ])('says that the %s is wrong and shows none', async (field, value, code) => {
    const options = minio.server.options(minio.bucket, { [field]: value })
    const s3 = new S3Store(options)
    const error = await s3.check(never()).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'STORE_DENIED', retryable: false, message: expect.stringContaining(code) })
    const shown = JSON.stringify(error, Object.getOwnPropertyNames(error)) + String((error as Error).stack)
    for (const secret of [value, minio.server.secretAccessKey, minio.server.accessKeyId]) {
      expect(shown).not.toContain(secret)
    }
    s3.close()
  })

  it('says that nobody answers', async () => {
    const s3 = new S3Store(minio.server.options(minio.bucket, { endpoint: 'http://127.0.0.1:1' }))
    await expect(s3.check(never())).rejects.toMatchObject({
      code: 'STORE_UNREACHABLE',
      retryable: true,
      message: expect.stringMatching(/127\.0\.0\.1:1.*ECONNREFUSED/),
    })
    s3.close()
  })

  it('ends when the signal fires', async () => {
    // Takes connections and never answers: a port that refuses them can use up all attempts before the signal fires.
    const silent = createServer().listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const s3 = new S3Store(minio.server.options(minio.bucket, { endpoint: `http://127.0.0.1:${port}` }))
    await expect(s3.check(AbortSignal.timeout(100))).rejects.toMatchObject({ code: 'CANCELLED' })
    s3.close()
    silent.close()
  })
})
