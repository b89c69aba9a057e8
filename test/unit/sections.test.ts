import { beforeEach, describe, expect, it } from '@jest/globals'
import { Sections } from '../sections.ts'

describe('sections of steps that run at the same time', () => {
  let written: string
  let sections: Sections

  beforeEach(() => {
    written = ''
    sections = new Sections((text) => {
      written += String(text)
    })
  })

  it('are written as they come while nothing before them is open', () => {
    const first = sections.open('first')
    expect(written).toBe('\n== first\n')
    first.write('one ')
    first.write(Buffer.from('two\n'))
    expect(written).toBe('\n== first\none two\n')
  })

  it('wait for those before them, and never mix', () => {
    const first = sections.open('first')
    const second = sections.open('second')
    second.write('b1\n')
    first.write('a1\n')
    second.write('b2\n')
    expect(written).toBe('\n== first\na1\n')
    first.close()
    expect(written).toBe('\n== first\na1\n\n== second\nb1\nb2\n')
    second.write('b3\n')
    expect(written.endsWith('b2\nb3\n')).toBe(true)
  })

  it('that have ended before their turn come whole, one after the other', () => {
    const [first, second, third] = ['first', 'second', 'third'].map((title) => sections.open(title))
    third?.write('c\n')
    third?.close()
    second?.write('b\n')
    second?.close()
    expect(written).toBe('\n== first\n')
    first?.close()
    expect(written).toBe('\n== first\n\n== second\nb\n\n== third\nc\n')
  })
})
