import { integrityOrThrow } from '../../../kernel/fault.ts';
import type { VerifyProblem } from '../verify-report.ts';

const PROBLEMS_MAX = 1000;

/** What is wrong with a recovery point, each thing once per disk. */
export class VerifyProblems {
  readonly #problems: VerifyProblem[] = [];

  get all(): readonly VerifyProblem[] {
    return this.#problems;
  }

  note(problem: VerifyProblem): void {
    const same = this.#problems.some(
      ({ message, diskId }) => message === problem.message && diskId === problem.diskId,
    );
    if (!same && this.#problems.length < PROBLEMS_MAX) {
      this.#problems.push(problem);
    }
  }

  /**
   * Turns damage that a check throws into a problem; throws anything else.
   * @returns the problem
   */
  async noting(
    diskId: string | undefined,
    check: () => Promise<unknown>,
  ): Promise<VerifyProblem | undefined> {
    try {
      await check();
      return undefined;
    } catch (error) {
      // The problem is reported, and the rest of the point is still checked.
      const { code, message } = integrityOrThrow(error);
      const problem = { code, message, ...(diskId === undefined ? {} : { diskId }) };
      this.note(problem);
      return problem;
    }
  }
}
