import { describe, expect, it } from '@jest/globals'
import { MOUNTS } from '../../../src/run/paths.ts'

describe('the paths in a job pod', () => {
  it('are absolute and do not hide one another, save the file in its own folder', () => {
    const { config, configFile, ...others } = MOUNTS
    expect(configFile.startsWith(`${config}/`)).toBe(true)
    const paths = [config, ...Object.values(others)]
    for (const path of paths) {
      expect(path).toMatch(/^\/[a-z/-]+[a-z]$/)
      expect(paths.filter((other) => other !== path && other.startsWith(`${path}/`))).toEqual([])
    }
    expect(new Set(paths).size).toBe(paths.length)
  })
})
