import { describe, expect, it } from '@jest/globals'
import { PgpackError } from '../../../src/errors.ts'
import { CutError, isTransient, S3Failure, storeError } from '../../../src/storage/errors.ts'
import { parseFailure } from '../../../src/storage/s3transport.ts'
import { element, elements, encodeEntities, listedKey } from '../../../src/storage/s3xml.ts'

const context = { action: 'write x', where: 's3://b at http://h' }
const errno = (code: string) => Object.assign(new Error(`it failed: ${code}`), { code })

describe('storeError', () => {
  it.each([
    [404, 'NoSuchBucket', 'STORE_NO_BUCKET', false],
    [404, 'NoSuchKey', 'STORE_NO_OBJECT', false],
    [404, '', 'STORE_NO_OBJECT', false],
    [403, 'AccessDenied', 'STORE_DENIED', false],
    [403, 'SignatureDoesNotMatch', 'STORE_DENIED', false],
    [403, 'RequestTimeTooSkewed', 'STORE_DENIED', false],
    [400, 'ExpiredToken', 'STORE_DENIED', false],
    [403, '', 'STORE_DENIED', false],
    [401, '', 'STORE_DENIED', false],
    [503, 'SlowDown', 'STORE_BUSY', true],
    [500, 'InternalError', 'STORE_BUSY', true],
    [429, '', 'STORE_BUSY', true],
    [408, '', 'STORE_BUSY', true],
    [400, 'RequestTimeout', 'STORE_BUSY', true],
    [400, 'BadDigest', 'STORE_BUSY', true],
    [507, 'XMinioStorageFull', 'STORE_FULL', false],
    [507, '', 'STORE_FULL', false],
    [409, 'QuotaExceeded', 'STORE_FULL', false],
    [412, 'PreconditionFailed', 'STORE_FAILED', false],
    [301, 'PermanentRedirect', 'STORE_FAILED', false],
    [501, 'NotImplemented', 'STORE_FAILED', false],
    [400, 'InvalidRequest', 'STORE_FAILED', false],
  ])('%i %s is %s', (status, s3Code, code, retryable) => {
    const failure = new S3Failure(status, s3Code, '')
    expect(storeError(failure, context)).toMatchObject({ code, retryable, details: { status: `HTTP ${status}` } })
    expect(isTransient(failure)).toBe(retryable)
  })

  it.each([
    ['ECONNREFUSED', 'STORE_UNREACHABLE', true],
    ['ENOTFOUND', 'STORE_UNREACHABLE', true],
    ['ETIMEDOUT', 'STORE_UNREACHABLE', true],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'STORE_UNREACHABLE', false],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'STORE_UNREACHABLE', false],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'STORE_UNREACHABLE', false],
    ['ENOSPC', 'STORE_FULL', false],
    ['EDQUOT', 'STORE_FULL', false],
    ['EACCES', 'STORE_DENIED', false],
    ['EPERM', 'STORE_DENIED', false],
    ['EROFS', 'STORE_DENIED', false],
    ['ENOENT', 'STORE_NO_OBJECT', false],
    ['EIO', 'STORE_FAILED', false],
  ])('%s is %s', (code, expected, retryable) => {
    const cause = errno(code)
    expect(storeError(cause, context)).toMatchObject({ code: expected, retryable, cause, details: { status: code } })
  })

  it('says what was done where, what was found and what to do', () => {
    const failure = new S3Failure(403, 'SignatureDoesNotMatch', 'The signature is wrong.')
    expect(storeError(failure, context).message).toBe(
      'cannot write x in s3://b at http://h: the server answered 403 SignatureDoesNotMatch (The signature is wrong.); ' +
        'check the access key and the secret key in the credentials',
    )
  })

  it.each([
    ...['EIO', 'ENOSPC', 'EDQUOT', 'EACCES', 'EROFS', 'ENOENT', 'ENAMETOOLONG', 'ENOTDIR', 'EISDIR'].map(errno),
    ...['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'ETIMEDOUT', 'CERT_HAS_EXPIRED'].map(errno),
    ...[301, 400, 403, 404, 412, 429, 500, 501, 503, 507].map((status) => new S3Failure(status, '', 'found this')),
  ])('tells the object, the place, what was found and what to do: %s', (error) => {
    const { message } = storeError(error, context)
    expect(message).toMatch(
      /^cannot write x in s3:\/\/b at http:\/\/h: .*(it failed: |answered \d{3} .*\(found this\)).*; \S+ \S+ .+/,
    )
  })

  it('is CANCELLED when the signal had fired, whatever came of it', () => {
    const signal = AbortSignal.abort('stop')
    expect(storeError(errno('ECONNRESET'), { ...context, signal })).toMatchObject({ code: 'CANCELLED', cause: 'stop' })
  })

  it('leaves our own errors as they are', () => {
    const own = new PgpackError('STORE_FULL', 'full')
    expect(storeError(own, { ...context, signal: AbortSignal.abort() })).toBe(own)
  })

  it('counts a cut as something that passes', () => {
    expect(isTransient(new CutError('early'))).toBe(true)
    expect(isTransient(new Error('bug'))).toBe(false)
  })
})

describe("an answer's elements", () => {
  const xml = '<?xml version="1.0"?><R xmlns="x"><Key>a&amp;b&#x41;&#66;</Key><Id>007</Id><Key>c</Key><E/></R>'

  it('are the text that they are', () => {
    expect(element(xml, 'Key')).toBe('a&bAB')
    expect(element(xml, 'Id')).toBe('007')
    expect(element(xml, 'None')).toBeUndefined()
    expect(elements(xml, 'Key')).toHaveLength(2)
  })

  it('survive being written and read', () => {
    const text = `<>&"' ünï & &amp;`
    expect(element(`<K>${encodeEntities(text)}</K>`, 'K')).toBe(text)
  })

  it('are decoded as keys only when the server encoded them', () => {
    expect(listedKey('<EncodingType>url</EncodingType>', 'a%2Fb+c')).toBe('a/b c')
    expect(listedKey('<R></R>', 'a%2Fb+c')).toBe('a%2Fb+c')
  })
})

describe('an error answer', () => {
  it('has code, message, region and when to come back', () => {
    const xml = '<Error><Code>SlowDown</Code><Message>later</Message><Region>eu-1</Region></Error>'
    expect(parseFailure(xml, 503, { 'retry-after': '7' })).toMatchObject({
      status: 503,
      code: 'SlowDown',
      message: 'later',
      region: 'eu-1',
      retryAfterMs: 7000,
    })
  })

  it('without a body has what the headers say', () => {
    expect(parseFailure('', 404, { 'x-minio-error-code': 'NoSuchBucket', 'x-amz-bucket-region': 'r' })).toMatchObject({
      code: 'NoSuchBucket',
      region: 'r',
      retryAfterMs: undefined,
    })
    expect(parseFailure('<html>bad gateway</html>', 502)).toMatchObject({ status: 502, code: '', message: '' })
  })
})
