/** The longest that a function may take, s. */
export const SUMMARIZE_S = 900;
/** Reading the log ends after this time. What remains is for the rest: 64 metrics of a million points take 140 s of processor time. */
export const READ_LOG_S = 540;
/** Points that are held, 16 bytes each: 64 metrics of a million points. */
export const MAX_POINTS = 64 * 1024 * 1024;
/** Holds them: the peak was 1,230 MB. A whole processor comes with 1,769 MiB. */
export const SUMMARIZE_MEMORY_MIB = 2_048;
