import { expect } from '@jest/globals'

// Jest compares buffers byte by byte in JavaScript: a second for a few hundred KiB.
expect.addEqualityTesters([(a, b) => (Buffer.isBuffer(a) && Buffer.isBuffer(b) ? a.equals(b) : undefined)])
