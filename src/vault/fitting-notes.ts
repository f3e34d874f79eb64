import { shortened } from '../kernel/shortened.ts';
import { NOTE_CHARACTERS_MAX, NOTES_MAX } from './limits.ts';

/** Of all notes as JSON: leaves the VM's configuration its room in a recovery point. */
const NOTES_BYTES_MAX = 1024 * 1024;

/**
 * Notes as a recovery point can keep them: what is too long is shortened, and of too many the last
 * ones are left out, both said so. A point is worth more than what is told of it.
 */
export function fittingNotes(notes: readonly string[]): string[] {
  const fitting: string[] = [];
  let bytes = 0;
  for (const note of notes) {
    const text = shortened(note, NOTE_CHARACTERS_MAX);
    bytes += Buffer.byteLength(JSON.stringify(text));
    if (bytes > NOTES_BYTES_MAX) {
      break;
    }
    fitting.push(text);
  }
  if (fitting.length === notes.length && fitting.length <= NOTES_MAX) {
    return fitting;
  }
  const kept = fitting.slice(0, NOTES_MAX - 1);
  return [...kept, `${notes.length - kept.length} more notes did not fit.`];
}
