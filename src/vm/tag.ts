import { z } from 'zod';

/** More tags are a mistake of a program. */
export const VM_TAGS_MAX = 64;

/** A word that somebody gives VMs, such as `production` or `tier:1`. */
export const VmTag = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:=/-]{0,62}$/, 'letters, digits, . _ - : = /; at most 63');
