import { Fault } from '../kernel/fault.ts';

const BYTES = /^(\d{1,15}(?:[.]\d{1,6})?)\s*([KMGTP]?)(?:i?B)?$/i;
const POWERS = ['', 'K', 'M', 'G', 'T', 'P'];

/** `500`, `64M`, `1.5 GiB`: units are powers of 1024. @throws Fault `request.invalid` */
export function parseBytes(option: string, text: string): number {
  const [, number = '', unit = ''] = BYTES.exec(text.trim()) ?? [];
  const bytes = Math.floor(Number(number) * 1024 ** POWERS.indexOf(unit.toUpperCase()));
  if (number === '' || !Number.isSafeInteger(bytes) || bytes <= 0) {
    throw new Fault('request.invalid', `${option} takes an amount such as 500M or 2G.`);
  }
  return bytes;
}

/** @throws Fault `request.invalid` */
export function parseCount(option: string, text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(count) || count === 0) {
    throw new Fault('request.invalid', `${option} takes a whole number above zero.`);
  }
  return count;
}

/** @throws Fault `request.invalid` */
export function parseMoney(option: string, text: string): number {
  if (!/^\d{1,9}(?:[.]\d{1,6})?$/.test(text) || Number(text) === 0) {
    throw new Fault('request.invalid', `${option} takes an amount of money such as 2.50.`);
  }
  return Number(text);
}
