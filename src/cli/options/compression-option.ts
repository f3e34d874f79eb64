import { InvalidArgumentError, Option } from 'commander';
import { COMPRESSION_LEVELS, type CompressionLevel } from '../../api/contract/jobs.ts';

/** `--compression`: a level, or undefined to follow the speed of the store. */
export function compressionOption(): Option {
  return new Option(
    '--compression <level>',
    '1 (fast) to 7 (small), or auto: as hard as does not slow the backup (default)',
  ).argParser(parseLevel);
}

function parseLevel(text: string): CompressionLevel | undefined {
  const level = COMPRESSION_LEVELS.find((one) => String(one) === text);
  if (level === undefined && text !== 'auto') {
    throw new InvalidArgumentError('It is auto, or a whole number from 1 to 7');
  }
  return level;
}
