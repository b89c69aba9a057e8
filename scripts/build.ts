/**
 * `npm run build`: dist/main.js and its chunks, which the image and `npx pgpack` run.
 *
 * They are bundled for memory, not for speed: loading the libraries file by file costs an engine process 50 MiB of
 * resident memory before it has moved a row. The importable library (dist/pgpack) is made by tsc, with its types.
 */
import { bundle } from './bundle.ts'

await bundle(['src/main.ts'], 'dist')
