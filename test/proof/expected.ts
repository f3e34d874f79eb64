/**
 * By kind of damage: what each of `COLUMNS` says. `ok`, the code of the problem without `vault.`,
 * or `found`; `WRONG` is content that was not backed up and is returned silently.
 */
export const EXPECTED: Readonly<Record<string, string>> = {
  nothing: 'ok ok ok ok | ok ok ok ok | ok ok ok | ok ok ok',
  'a data pack is missing':
    'pack-missing pack-missing pack-missing pack-missing | pack-missing pack-missing pack-missing ok | pack-missing lossy pack-missing | ok ok ok',
  'a metadata pack is missing':
    'pack-missing pack-missing pack-missing pack-missing | pack-missing pack-missing pack-missing pack-missing | pack-missing lossy collect-unsure | ok ok ok',
  'a pack is cut short':
    'pack-corrupt pack-corrupt pack-corrupt pack-corrupt | pack-corrupt pack-corrupt pack-corrupt ok | pack-corrupt lossy pack-corrupt | found found found',
  'a trailer is flipped':
    'pack-corrupt pack-corrupt pack-corrupt pack-corrupt | pack-corrupt pack-corrupt pack-corrupt ok | pack-corrupt lossy pack-corrupt | found found found',
  'a header is flipped':
    'ok pack-corrupt pack-corrupt pack-corrupt | ok ok ok ok | ok ok ok | found found found',
  'a footer is flipped':
    'ok pack-corrupt pack-corrupt pack-corrupt | pack-corrupt pack-corrupt pack-corrupt ok | pack-corrupt lossy pack-corrupt | found found found',
  'a footer is flipped, with its checksums':
    'ok pack-corrupt pack-corrupt pack-corrupt | pack-corrupt pack-corrupt pack-corrupt ok | pack-corrupt lossy pack-corrupt | ok ok found',
  'the object of another pack lies there':
    'pack-corrupt pack-corrupt pack-corrupt pack-corrupt | pack-corrupt pack-corrupt pack-corrupt ok | pack-corrupt lossy pack-corrupt | found found found',
  'the footer has other ids':
    'ok map-corrupt map-corrupt map-corrupt | map-corrupt map-corrupt map-corrupt ok | map-corrupt lossy map-corrupt | ok ok found',
  'a node is another one':
    'map-corrupt map-corrupt map-corrupt map-corrupt+chunk-corrupt | map-corrupt map-corrupt map-corrupt map-corrupt | map-corrupt lossy collect-unsure | ok ok found',
  'a frame of the map is flipped':
    'chunk-corrupt chunk-corrupt chunk-corrupt chunk-corrupt | chunk-corrupt chunk-corrupt chunk-corrupt chunk-corrupt | chunk-corrupt lossy collect-unsure | found found found',
  'the map has an impossible depth':
    'map-corrupt map-corrupt map-corrupt map-corrupt | map-corrupt map-corrupt map-corrupt ok | map-corrupt map-corrupt collect-unsure | ok ok ok',
  'a file is another one':
    'ok map-corrupt map-corrupt map-corrupt | ok ok ok map-corrupt | ok ok ok | ok ok found',
  'a file is shorter than the point says':
    'ok map-corrupt map-corrupt map-corrupt | ok ok ok map-corrupt | ok ok ok | ok ok ok',
  'the parent is not the one it was made from':
    'ok point-corrupt point-corrupt point-corrupt | ok ok ok ok | ok ok ok | ok ok ok',
  'the point is flipped':
    'point-corrupt point-corrupt point-corrupt point-corrupt | point-corrupt point-corrupt point-corrupt point-corrupt | point-corrupt point-corrupt collect-unsure | ok ok found',
  'the point is another one than was sealed':
    'point-corrupt point-corrupt point-corrupt point-corrupt | point-corrupt point-corrupt point-corrupt point-corrupt | point-corrupt point-corrupt point-corrupt | ok ok found',
  'the seal is of another point':
    'control-corrupt control-corrupt control-corrupt control-corrupt | control-corrupt control-corrupt control-corrupt control-corrupt | control-corrupt control-corrupt control-corrupt | ok ok found',
  'a frame is flipped':
    'ok ok chunk-corrupt chunk-corrupt | chunk-corrupt chunk-corrupt chunk-corrupt ok | chunk-corrupt lossy chunk-corrupt | found found found',
  'the number of a frame is flipped':
    'ok ok chunk-corrupt chunk-corrupt | chunk-corrupt chunk-corrupt chunk-corrupt ok | chunk-corrupt lossy chunk-corrupt | found found found',
  'a frame is flipped, with its checksum':
    'ok ok chunk-corrupt chunk-corrupt | chunk-corrupt chunk-corrupt chunk-corrupt ok | chunk-corrupt lossy chunk-corrupt | ok ok found',
  'a frame does not decompress':
    'ok ok chunk-corrupt chunk-corrupt | chunk-corrupt chunk-corrupt chunk-corrupt ok | chunk-corrupt lossy chunk-corrupt | ok ok found',
  'content is not what its id says':
    'ok ok ok chunk-corrupt | chunk-corrupt chunk-corrupt chunk-corrupt ok | WRONG lossy chunk-corrupt | ok ok found',
  'content that only the other point needs is not what its id says':
    'ok ok ok ok | ok ok ok ok | ok ok ok | ok ok found',
  'a frame is flipped, and another generation is whole':
    'ok ok ok ok | ok ok ok ok | ok ok ok | found found found',
  'content is wrong, and another generation is whole':
    'ok ok ok ok | ok ok ok ok | WRONG ok ok | ok ok found',
  'content is wrong in two generations':
    'ok ok ok chunk-corrupt | chunk-corrupt chunk-corrupt chunk-corrupt ok | WRONG lossy chunk-corrupt | ok ok found',
  'the newer of two generations is wrong': 'ok ok ok ok | ok ok ok ok | ok ok ok | ok ok found',
  'the newer of two generations has other chunks':
    'ok ok ok ok | ok ok ok ok | ok ok ok | ok ok ok',
  'an alias leads to the right one': 'ok ok ok ok | ok ok ok ok | ok ok ok | ok ok ok',
  'an alias leads to wrong content': 'ok ok ok ok | ok ok ok ok | ok ok ok | ok ok found',
  'an alias leads to other chunks': 'ok ok ok ok | ok ok ok ok | ok ok ok | ok ok ok',
  'content is wrong, and an alias leads to the right one':
    'ok ok ok ok | ok ok ok ok | WRONG ok ok | ok ok found',
  'a pack is gone, and an alias leads to the right one':
    'ok ok ok ok | ok ok ok ok | ok ok ok | ok ok ok',
  'a pack is gone, and an alias leads to wrong content':
    'ok ok ok chunk-corrupt | chunk-corrupt chunk-corrupt chunk-corrupt ok | WRONG lossy chunk-corrupt | ok ok found',
  'content is wrong, and an alias leads to other chunks':
    'ok ok ok chunk-corrupt | chunk-corrupt chunk-corrupt chunk-corrupt ok | WRONG lossy chunk-corrupt | ok ok found',
  'all chunks are others':
    'ok map-corrupt map-corrupt map-corrupt | map-corrupt map-corrupt map-corrupt ok | map-corrupt lossy map-corrupt | ok ok ok',
  'a mark of damage is flipped': 'ok ok ok ok | ok ok ok ok | ok ok ok | ok ok found',
  'a key object is flipped': 'ok ok ok ok | ok ok ok ok | ok ok ok | ok ok found',
};
