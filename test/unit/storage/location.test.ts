import { resolve } from 'node:path'
import { describe, expect, it } from '@jest/globals'
import { fileInFolder, openStore, parseCredentials, parseLocation } from '../../../src/storage/location.ts'
import { parseEndpoint } from '../../../src/storage/s3client.ts'

describe('parseLocation', () => {
  it.each([
    ['s3://bucket', 'bucket', ''],
    ['s3://bucket/', 'bucket', ''],
    ['s3://bucket/a/b', 'bucket', 'a/b'],
    ['s3://bucket/a/b/', 'bucket', 'a/b'],
    ['S3://bucket/a%20b?c#d', 'bucket', 'a%20b?c#d'],
  ])('%s is a bucket and a key', (text, bucket, key) => {
    expect(parseLocation(text)).toEqual({ type: 'S3', bucket, key })
  })

  it.each([
    ['/var/dump', '/var/dump'],
    ['dump.pgpack', resolve('dump.pgpack')],
    ['./s3:/x', resolve('s3:/x')],
    ['file:///var/a%20b', '/var/a b'],
  ])('%s is a path', (text, path) => {
    expect(parseLocation(text)).toEqual({ type: 'Filesystem', path })
  })

  it.each([
    '',
    's3://',
    's3:///key',
    's3://bucket/../x',
    's3://bucket/a//b',
    'postgres://u:secret@h/db',
    's3://k:secret@b/x',
  ])('%j is refused, and not repeated where it may hold a password', (text) => {
    const parse = () => parseLocation(text)
    expect(parse).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
    expect(parse).toThrow(expect.not.objectContaining({ message: expect.stringContaining('secret') }))
  })

  it('one file is a folder and a key', () => {
    expect(fileInFolder('/var/x/dump.pgpack')).toEqual({ folder: '/var/x', key: 'dump.pgpack' })
  })
})

describe('parseEndpoint', () => {
  it.each(['http://127.0.0.1:9000', 'https://s3.example.com', 'https://s3.example.com/', 'http://[::1]:9000'])(
    'takes %s',
    (endpoint) => {
      expect(parseEndpoint(endpoint).host).not.toBe('')
    },
  )

  it.each(['s3.example.com', 'ftp://x', 'https://x/path', 'https://user:secret@x', 'https://x?secret', ''])(
    'refuses %j without repeating it',
    (endpoint) => {
      const parse = () => parseEndpoint(endpoint)
      expect(parse).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
      expect(parse).toThrow(expect.not.objectContaining({ message: expect.stringContaining('secret') }))
    },
  )
})

describe('parseCredentials', () => {
  const expected = { accessKeyId: 'id', secretAccessKey: 'key' }

  it.each([
    ['accessKeyId', 'secretAccessKey', 'sessionToken'],
    ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'],
    ['ACCESS_KEY_ID', 'ACCESS_SECRET_KEY', 'ACCESS_SESSION_TOKEN'],
  ])('knows %s and %s', (id, key, token) => {
    expect(parseCredentials({ [id]: 'id\n', [key]: ' key', other: 'x' })).toEqual(expected)
    expect(parseCredentials({ [id]: 'id', [key]: 'key', [token]: 'tok\n' })).toEqual({
      ...expected,
      sessionToken: 'tok',
    })
    expect(parseCredentials({ [id]: 'id', [key]: 'key', [token]: '\n' })).toEqual(expected)
  })

  it.each([
    [{}, 'accessKeyId', 'no keys'],
    [{ accessKeyId: 'id' }, 'secretAccessKey', 'the keys accessKeyId'],
    [{ accessKeyId: '', secretAccessKey: 'hidden', b: 'x' }, 'accessKeyId', 'the keys accessKeyId, b, secretAccessKey'],
  ])('names the key that is missing, and those that are there, but no value (%#)', (files, missing, found) => {
    const parse = () => parseCredentials(files)
    const message = expect.stringMatching(new RegExp(`${found};.*${missing}`))
    expect(parse).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', message }))
    expect(parse).toThrow(expect.not.objectContaining({ message: expect.stringContaining('hidden') }))
  })
})

describe('openStore', () => {
  it('opens what it is told to, without looking at it', async () => {
    const s3 = { type: 'S3', endpoint: 'http://h:1', bucket: 'b', prefix: '/p/q/', forcePathStyle: true } as const
    const store = await openStore({ ...s3, accessKeyId: 'id', secretAccessKey: 'hidden' })
    expect(store.location).toBe('s3://b/p/q')
    store.close()
    const folder = await openStore({ type: 'Filesystem', path: '/no such/place' })
    expect(folder.location).toBe('file:///no%20such/place')
  })
})
