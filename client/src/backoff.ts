export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** A timer that keeps no Node process alive. */
export function later(work: () => void, ms: number): ReturnType<typeof setTimeout> {
  const timer = setTimeout(work, ms);
  (timer as { unref?: () => void }).unref?.();
  return timer;
}

/** Milliseconds before the next attempt: doubling up to `most`, with chance, so that not all come at once. */
export function backoff(attempt: number, least = 250, most = 15_000): number {
  const full = Math.min(most, least * 2 ** attempt);
  return full / 2 + (Math.random() * full) / 2;
}
