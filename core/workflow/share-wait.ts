/**
 * Seconds until something is looked at again that has lasted for so long: a share of that time, so that a long wait costs few looks and
 * delays little.
 * @param lasted seconds
 * @param share how many seconds of that make a second of the wait
 */
export function shareWait(
  lasted: number,
  { shortest, longest, share }: { readonly shortest: number; readonly longest: number; readonly share: number },
): number {
  return Math.round(Math.min(longest, Math.max(shortest, lasted / share)));
}
