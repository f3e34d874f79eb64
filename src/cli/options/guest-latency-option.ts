import { InvalidArgumentError, Option } from 'commander';
import { GuestLatencyLimit } from '../../kernel/rates/guest-latency.ts';

/** `--guest-latency`. Whoever types it means an emulated guest too. */
export function guestLatencyOption(): Option {
  return new Option(
    '--guest-latency <ms>',
    "read slower while one in a hundred of the guest's writes takes longer than this",
  ).argParser(parseLimit);
}

function parseLimit(text: string): GuestLatencyLimit {
  const [, number] = /^(\d{1,4})(?:ms)?$/.exec(text) ?? [];
  const limit = { p99MsMax: Number(number), underEmulation: true };
  if (!GuestLatencyLimit.safeParse(limit).success) {
    throw new InvalidArgumentError('It is a whole number of milliseconds from 1 to 500');
  }
  return limit;
}
