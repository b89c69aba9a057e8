import { createHash } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import { escapeKey, escapeQuery, type Signable, signedHeaders } from '../../../src/storage/s3sign.ts'

const EMPTY = createHash('sha256').digest('hex')

/** Of the examples in "Signature Calculations for the Authorization Header" (S3 API). */
const example = {
  credentials: { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' },
  now: new Date('2013-05-24T00:00:00Z'),
  host: 'examplebucket.s3.amazonaws.com',
}

function sign(signable: Signable, changes: { readonly region?: string; readonly sessionToken?: string } = {}) {
  const { region = 'us-east-1', ...token } = changes
  return signedHeaders(signable, { ...example.credentials, ...token }, region, example.now)
}

describe('the signature', () => {
  const { host } = example
  const get = { method: 'GET', path: '/', query: '', headers: { host }, sha256: EMPTY }

  it.each<[string, Signable, string]>([
    [
      'of a GET with a range',
      { ...get, path: '/test.txt', headers: { host, range: 'bytes=0-9' } },
      'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    ],
    [
      'of a PUT with a body, a date and a key to escape',
      {
        ...get,
        method: 'PUT',
        path: '/test%24file.text',
        headers: { host, date: 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class': 'REDUCED_REDUNDANCY' },
        sha256: '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
      },
      '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
    ],
    [
      'of a query without a value',
      { ...get, query: 'lifecycle' },
      'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
    ],
    [
      'of a query with values',
      { ...get, query: 'max-keys=2&prefix=J' },
      '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
    ],
  ])("%s is that of the API's documentation", (_name, signable, signature) => {
    expect(sign(signable)['authorization']).toMatch(new RegExp(`Signature=${signature}$`))
  })

  it('covers the session token, which is sent beside it', () => {
    const headers = sign(get, { sessionToken: 'token' })
    expect(headers).toMatchObject({ host, 'x-amz-security-token': 'token', 'x-amz-date': '20130524T000000Z' })
    expect(headers['authorization']).toContain(
      'SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,',
    )
    expect(headers['authorization']).not.toBe(sign(get)['authorization'])
  })

  it('leaves out what proxies change, and sends it', () => {
    const headers = sign({ ...get, headers: { host, 'content-length': '3', 'user-agent': 'x' } })
    expect(headers).toMatchObject({ 'content-length': '3', 'user-agent': 'x' })
    expect(headers['authorization']).toBe(sign(get)['authorization'])
  })
})

describe('escaping', () => {
  it('leaves what RFC 3986 does not reserve, and gives upper-case digits for the rest', () => {
    expect(escapeQuery("az AZ09-_.~!'()*/+ü%")).toBe('az%20AZ09-_.~%21%27%28%29%2A%2F%2B%C3%BC%25')
    expect(escapeKey('a/b c/*')).toBe('a/b%20c/%2A')
  })
})
