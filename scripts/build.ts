/**
 * `npm run build`: dist/main.js and its chunks, which the image and `npx pgpack` run.
 *
 * They are bundled for memory, not for speed: loading the libraries file by file costs an engine process 50 MiB of
 * resident memory before it has moved a row. The importable library (dist/pgpack) is made by tsc, with its types.
 */
import { build } from 'esbuild'

await build({
  entryPoints: ['src/main.ts'],
  outdir: 'dist',
  bundle: true,
  splitting: true,
  chunkNames: 'chunks/[name]-[hash]',
  format: 'esm',
  platform: 'node',
  target: 'node22',
  minifySyntax: true,
  minifyWhitespace: true,
  // The native addon stays a package of its own; client-node is loaded outside a cluster only.
  external: ['lz4-napi', '@kubernetes/client-node'],
  // CommonJS packages in the bundle call require for Node's own modules.
  banner: {
    js: "import { createRequire as bundleRequire } from 'node:module'; const require = bundleRequire(import.meta.url);",
  },
})
