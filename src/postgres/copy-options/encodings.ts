/** pg_encname_tbl of src/common/encnames.c, PostgreSQL 9.4 to 18: names as clean_encoding_name leaves them. */
const ENCODINGS: ReadonlySet<string> = new Set([
  ...['abc', 'alt', 'big5', 'euccn', 'eucjis2004', 'eucjp', 'euckr', 'euctw', 'gb18030', 'gbk', 'johab', 'koi8'],
  ...['koi8r', 'koi8u', 'mskanji', 'muleinternal', 'shiftjis', 'shiftjis2004', 'sjis', 'sqlascii', 'tcvn', 'tcvn5712'],
  ...['uhc', 'unicode', 'utf8', 'vscii', 'win'],
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((part) => `latin${part}`),
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16].map((part) => `iso8859${part}`),
  ...[866, 874, 932, 936, 949, 950, 1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258].flatMap((page) => [
    `win${page}`,
    `windows${page}`,
  ]),
])

/** Whether the server knows an encoding by this name, as pg_char_to_encoding does: by its letters and digits only. */
export function isEncodingName(name: string): boolean {
  return ENCODINGS.has(name.replaceAll(/[^a-zA-Z0-9]/g, '').toLowerCase())
}
