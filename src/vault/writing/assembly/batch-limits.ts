/** Most that one task reads. */
export const BATCH_BYTES = 4 * 1024 * 1024;
/**
 * Most that a task's frames take, if nothing compresses: content, prefixes, tags and partly filled
 * frames.
 */
export const BATCH_STORED_BYTES_MAX = BATCH_BYTES + 64 * 1024;
export const BATCH_FRAMES_MAX = 16;
export const BATCH_SLOTS_MAX = BATCH_BYTES / 4096;
