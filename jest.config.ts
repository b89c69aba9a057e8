import type { Config } from 'jest'
import { bundledPackages } from './test/support/jest-packages.ts'

const config: Config = {
  testEnvironment: 'node',
  globalSetup: '<rootDir>/test/support/jest-setup.ts',
  setupFilesAfterEnv: ['<rootDir>/test/support/jest-equality.ts'],
  globalTeardown: '<rootDir>/test/support/jest-teardown.ts',
  // Deadlines that tell a hang from a busy machine; a test that waits for less says so itself.
  testTimeout: 60_000,
  maxWorkers: 2,
  testMatch: ['<rootDir>/test/{unit,integration,e2e}/**/*.test.ts'],
  // Has no server of its own: the variable that names one asks for the run.
  testPathIgnorePatterns: ['/node_modules/', ...(process.env['GREENPLUM_DSN'] ? [] : ['/greenplum\\.test\\.ts$'])],
  moduleNameMapper: await bundledPackages(),
  transform: {
    // Our modules, and the bundles of packages; what lies below node_modules is CommonJS already.
    '\\.[jt]s$': [
      '@swc/jest',
      {
        jsc: { parser: { syntax: 'typescript' }, target: 'es2024' },
        module: { type: 'commonjs' },
        sourceMaps: 'inline',
      },
    ],
  },
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/test/cluster/go/'],
}

export default config
