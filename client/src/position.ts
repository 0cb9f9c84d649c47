/** A place in the log of a room. A later epoch is above every offset of an earlier one. */
export type Position = readonly [epoch: number, offset: number];

export const START: Position = [0, 0];

export const compare = (one: Position, other: Position): number =>
  one[0] - other[0] || one[1] - other[1];

export const isAbove = (one: Position, other: Position): boolean => compare(one, other) > 0;

export const positionOf = ({ epoch, offset }: { epoch: number; offset: number }): Position => [
  epoch,
  offset,
];
