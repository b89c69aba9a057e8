import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { atHosts, byAddress, describeHost, hostsOf, parseHosts } from '../../../src/postgres/hosts.ts'

describe('parseHosts', () => {
  it.each<[hosts: string, ports: string | undefined, expected: [string, number][]]>([
    ['db', undefined, [['db', 5432]]],
    ['db', '6432', [['db', 6432]]],
    [
      'a,b',
      '',
      [
        ['a', 5432],
        ['b', 5432],
      ],
    ],
    [
      'a,b',
      '1',
      [
        ['a', 1],
        ['b', 1],
      ],
    ],
    [
      'a,b,c',
      '1,,3',
      [
        ['a', 1],
        ['b', 5432],
        ['c', 3],
      ],
    ],
    [
      'a:1,b:2',
      undefined,
      [
        ['a', 1],
        ['b', 2],
      ],
    ],
    [
      'a:1,b',
      '7',
      [
        ['a', 1],
        ['b', 7],
      ],
    ],
    [
      '[::1]:1,::1,[fe80::2]',
      '9',
      [
        ['::1', 1],
        ['::1', 9],
        ['fe80::2', 9],
      ],
    ],
    [
      '/run/a:b,db',
      undefined,
      [
        ['/run/a:b', 5432],
        ['db', 5432],
      ],
    ],
  ])('reads hosts %j with ports %j', (hosts, ports, expected) => {
    expect(parseHosts(hosts, ports)).toEqual(expected.map(([host, port]) => ({ host, port })))
  })

  it('takes addresses beside the names', () => {
    expect(parseHosts('a,b', '1', '10.0.0.1,')).toEqual([
      { host: 'a', port: 1, hostAddress: '10.0.0.1' },
      { host: 'b', port: 1 },
    ])
  })

  it.each<[string[], RegExp]>([
    [['a,,b'], /host 2 of "a,,b" is empty/],
    [[''], /host 1 of "" is empty/],
    [['a,b', '1,2,3'], /3 values of port for 2 hosts/],
    [['a:0'], /port is "0": expected a number from 1 to 65535/],
    [['a', '65536'], /port is "65536"/],
    [['a', '1e3'], /port is "1e3"/],
    [['a,b', '', '10.0.0.1'], /1 values of hostaddr for 2 hosts/],
    [['a', '', 'elsewhere'], /hostaddr "elsewhere" is no IP address/],
  ])('refuses %j', ([hosts = '', ports, addresses], message) => {
    const attempt = () => parseHosts(hosts, ports, addresses)
    expect(attempt).toThrow(message)
    expect(attempt).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })

  it('reads back what describeHost shows of any hosts', () => {
    const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6())
    const place = fc.record({ host, port: fc.integer({ min: 1, max: 65_535 }) })
    fc.assert(
      fc.property(fc.array(place, { minLength: 1, maxLength: 5 }), (places) => {
        expect(parseHosts(places.map(describeHost).join(','))).toEqual(places)
      }),
    )
  })
})

describe('the hosts of a configuration', () => {
  const rest = { database: 'd', user: 'u', tls: { mode: 'Disable' } } as const

  it('are its one host, or its list', () => {
    const one = { host: 'a', port: 1 }
    const two = [one, { host: 'b', port: 2, hostAddress: '10.0.0.2' }]
    expect(hostsOf({ ...rest, ...atHosts([one]) })).toEqual([one])
    expect(hostsOf({ ...rest, ...atHosts(two) })).toEqual(two)
    expect(atHosts(two)).toMatchObject(one)
    expect(atHosts([one])).not.toHaveProperty('hosts')
    expect(() => atHosts([])).toThrow(/names no host/)
  })

  it('stay as they are where there is no name with several addresses to look up', async () => {
    const places = ['127.0.0.1', '::1', '/tmp', 'no.such.host.invalid'].map((host) => ({ host, port: 1 }))
    for (const place of places) expect(await byAddress(place)).toEqual([place])
    const known = { host: 'localhost', port: 1, hostAddress: '127.0.0.9' }
    expect(await byAddress(known)).toEqual([known])
  })
})

describe('describeHost', () => {
  it('shows the address of a name that has several', () => {
    expect(describeHost({ host: 'db', port: 1, hostAddress: '::2' })).toBe('db:1 (::2)')
    expect(describeHost({ host: '::2', port: 1, hostAddress: '::2' })).toBe('[::2]:1')
  })
})
