/** Red, green, blue, each 0 to 255. */
export type Rgb = readonly [red: number, green: number, blue: number];

/**
 * Ten colours found by search: any two differ by at least 0.09 in OKLab, also as seen with protanopia, deuteranopia and
 * tritanopia (the seven hues of Okabe and Ito reach 0.076); none is darker or greyer than what shows on a photograph.
 */
export const palette: readonly Rgb[] = [
  [0x22, 0xbf, 0xed],
  [0xf5, 0xd3, 0x36],
  [0xd9, 0x2a, 0x7c],
  [0x5a, 0xf5, 0xae],
  [0x72, 0x3b, 0xf6],
  [0x98, 0xb3, 0x19],
  [0xf2, 0x88, 0xaa],
  [0x17, 0x85, 0x23],
  [0x70, 0x88, 0xf6],
  [0xae, 0x23, 0xae],
];

/**
 * A colour for every class id of one picture. A class tends to have the same colour in every picture (`classId` modulo
 * the palette); where two classes of this picture want the same one, the higher id takes the next that is free, so that
 * up to ten classes in a picture never share one.
 */
export function classColours(classIds: Iterable<number>): Map<number, Rgb> {
  const colours = new Map<number, Rgb>();
  let free = new Set(palette.keys());
  for (const classId of [...new Set(classIds)].sort((a, b) => a - b)) {
    if (free.size === 0) free = new Set(palette.keys());
    const id = Number.isFinite(classId) ? Math.trunc(classId) : 0;
    let index = ((id % palette.length) + palette.length) % palette.length;
    while (!free.has(index)) index = (index + 1) % palette.length;
    free.delete(index);
    colours.set(classId, palette[index]!);
  }
  return colours;
}

/** Relative luminance, from 0 (black) to 1 (white), as WCAG 2 defines it. */
export function luminance(colour: Rgb): number {
  const [red, green, blue] = colour.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  }) as unknown as Rgb;
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Contrast of two colours as WCAG 2 has it, from 1 to 21. */
export function contrast(a: Rgb, b: Rgb): number {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

/** Near-black or white, whichever reads better on a colour. */
export function inkOn(colour: Rgb): Rgb {
  const [white, dark]: Rgb[] = [
    [255, 255, 255],
    [12, 12, 16],
  ];
  return contrast(colour, white!) >= contrast(colour, dark!) ? white! : dark!;
}
