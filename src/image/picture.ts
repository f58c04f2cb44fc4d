/** A decoded picture as a person sees it: RGB bytes, row by row from the top left, `[height, width, 3]`. */
export interface Picture {
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** Pixels as a program has them: grey (1 channel), RGB (3) or RGBA (4), 8 bits each, row by row. */
export interface RawPicture {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 3 | 4;
}
