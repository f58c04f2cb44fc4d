import type { ByteReader, Refuse } from "./byte-reader.ts";
import { latin1, utf8 } from "./byte-reader.ts";
import { printable } from "./printable.ts";

/**
 * A machine for Python's pickle language that can build data and nothing else: it has no way to import or call
 * anything; the few classes that checkpoints need are made by the {@link PickleHost}, everything else is refused.
 */

/** A Python tuple; lists are arrays. */
export class PickleTuple {
  readonly items: readonly unknown[];
  constructor(items: readonly unknown[]) {
    this.items = items;
  }
}

/** A Python class or function, by name only. */
export class PickleGlobal {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** An object of a Python class that is kept as data: its class, arguments and state. */
export class PickleObject {
  readonly type: string;
  readonly args: readonly unknown[];
  state: unknown;
  constructor(type: string, args: readonly unknown[]) {
    this.type = type;
    this.args = args;
  }
}

/** What a pickle may name and make. */
export interface PickleHost {
  /** Whether a class or function may be named at all. */
  allows(global: string): boolean;
  /** The value of calling an allowed global: data made here. */
  call(global: string, args: readonly unknown[]): unknown;
  /** The value of a persistent id. */
  persistent(id: unknown): unknown;
}

/** Far above any checkpoint (the largest here takes a hundred thousand), far below what fills a memory. */
const maxSteps = 2_000_000;

/** Runs one pickle from the reader's position to its STOP and returns its value. Protocols 0 to 5. */
export function runPickle(reader: ByteReader, host: PickleHost, refuse: Refuse): unknown {
  let stack: unknown[] = [];
  const marks: unknown[][] = [];
  const memo = new Map<number, unknown>();

  const push = (value: unknown) => void stack.push(value);
  const pop = (): unknown => {
    if (stack.length === 0) refuse("the pickle takes from an empty stack");
    return stack.pop();
  };
  const top = (): unknown => {
    if (stack.length === 0) refuse("the pickle looks at an empty stack");
    return stack[stack.length - 1];
  };
  const popMark = (): unknown[] => {
    const outer = marks.pop();
    if (outer === undefined) return refuse("the pickle has no mark to go back to");
    const items = stack;
    stack = outer;
    return items;
  };
  const popMany = (count: number): unknown[] => {
    if (stack.length < count) refuse("the pickle takes from an empty stack");
    return stack.splice(stack.length - count, count);
  };
  const recall = (index: number): void => {
    if (!memo.has(index)) refuse(`the pickle recalls ${index}, which it never kept`);
    push(memo.get(index));
  };
  const name = (module: unknown, attribute: unknown): PickleGlobal => {
    if (typeof module !== "string" || typeof attribute !== "string")
      return refuse("the pickle names a class by something that is no text");
    const global = `${module}.${attribute}`;
    if (!host.allows(global))
      refuse(
        `the pickle asks for ${printable(global)}, which weights do not need; it was not run`,
        "the file may be hostile; if it is yours, save only the weights: torch.save(model.state_dict(), …)",
      );
    return new PickleGlobal(global);
  };
  const call = (callee: unknown, args: unknown): unknown => {
    if (!(callee instanceof PickleGlobal)) return refuse("the pickle calls something that is no class");
    if (!(args instanceof PickleTuple)) return refuse(`the pickle calls ${callee.name} without a tuple`);
    return host.call(callee.name, args.items);
  };
  const append = (items: readonly unknown[]): void => {
    const list = top();
    if (Array.isArray(list)) for (const item of items) list.push(item);
    else if (!(list instanceof PickleObject)) refuse("the pickle appends to something that is no list");
  };
  const setItems = (items: readonly unknown[]): void => {
    const dict = top();
    if (items.length % 2 !== 0) refuse("the pickle sets a key without a value");
    if (dict instanceof Map) for (let i = 0; i < items.length; i += 2) dict.set(items[i], items[i + 1]);
    else if (!(dict instanceof PickleObject)) refuse("the pickle sets items of something that is no dict");
  };
  const integer = (bytes: Uint8Array): number | bigint => {
    if (bytes.length > 64) refuse(`the pickle has a whole number of ${bytes.length} bytes`);
    let value = 0n;
    for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
    if (bytes.length > 0 && bytes[bytes.length - 1]! & 0x80) value -= 1n << BigInt(8 * bytes.length);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  };
  const decimal = (text: string): number | bigint | boolean => {
    if (text === "00" || text === "01") return text === "01"; // protocol 0 and 1 booleans
    const digits = text.replace(/L$/, "");
    if (!/^[+-]?\d{1,150}$/.test(digits)) refuse(`the pickle has the number ${printable(text)}`);
    const value = BigInt(digits.replace(/^\+/, ""));
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  };
  const quoted = (line: string): string => {
    const inner = /^(["'])(.*)\1$/s.exec(line)?.[2];
    return inner ?? refuse("the pickle has a string without quotes");
  };

  for (let step = 0; step < maxSteps; step++) {
    const code = reader.u8();
    switch (code) {
      case 0x80: {
        const protocol = reader.u8();
        if (protocol > 5) refuse(`pickle protocol ${protocol} is not known`);
        break;
      }
      case 0x95: // FRAME
        reader.skip(8);
        break;
      case 0x2e: // STOP
        return pop();
      case 0x28: // MARK
        marks.push(stack);
        stack = [];
        break;
      case 0x30: // POP
        if (stack.length === 0) popMark();
        else pop();
        break;
      case 0x31: // POP_MARK
        popMark();
        break;
      case 0x32: // DUP
        push(top());
        break;
      case 0x4e: // NONE
        push(null);
        break;
      case 0x88: // NEWTRUE
        push(true);
        break;
      case 0x89: // NEWFALSE
        push(false);
        break;
      case 0x4b: // BININT1
        push(reader.u8());
        break;
      case 0x4d: // BININT2
        push(reader.u16());
        break;
      case 0x4a: // BININT
        push(reader.i32());
        break;
      case 0x8a: // LONG1
        push(integer(reader.take(reader.u8())));
        break;
      case 0x8b: // LONG4
        push(integer(reader.take(reader.u32())));
        break;
      case 0x49: // INT
      case 0x4c: // LONG
        push(decimal(latin1(reader.line())));
        break;
      case 0x46: // FLOAT
        push(Number(latin1(reader.line())));
        break;
      case 0x47: // BINFLOAT
        push(reader.f64BigEndian());
        break;
      case 0x53: // STRING
        push(quoted(latin1(reader.line())));
        break;
      case 0x54: // BINSTRING
        push(latin1(reader.take(reader.u32())));
        break;
      case 0x55: // SHORT_BINSTRING
        push(latin1(reader.take(reader.u8())));
        break;
      case 0x56: // UNICODE
        push(utf8(reader.line()));
        break;
      case 0x58: // BINUNICODE
        push(utf8(reader.take(reader.u32())));
        break;
      case 0x8c: // SHORT_BINUNICODE
        push(utf8(reader.take(reader.u8())));
        break;
      case 0x8d: // BINUNICODE8
        push(utf8(reader.take(reader.u64())));
        break;
      case 0x42: // BINBYTES
        push(reader.take(reader.u32()));
        break;
      case 0x43: // SHORT_BINBYTES
        push(reader.take(reader.u8()));
        break;
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        push(reader.take(reader.u64()));
        break;
      case 0x5d: // EMPTY_LIST
        push([]);
        break;
      case 0x6c: // LIST
        push(popMark());
        break;
      case 0x61: // APPEND
        append([pop()]);
        break;
      case 0x65: // APPENDS
        append(popMark());
        break;
      case 0x29: // EMPTY_TUPLE
        push(new PickleTuple([]));
        break;
      case 0x74: // TUPLE
        push(new PickleTuple(popMark()));
        break;
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        push(new PickleTuple(popMany(code - 0x84)));
        break;
      case 0x7d: // EMPTY_DICT
        push(new Map());
        break;
      case 0x64: {
        // DICT
        const items = popMark();
        push(new Map());
        setItems(items);
        break;
      }
      case 0x73: // SETITEM
        setItems(popMany(2));
        break;
      case 0x75: // SETITEMS
        setItems(popMark());
        break;
      case 0x8f: // EMPTY_SET
        push(new PickleObject("builtins.set", []));
        break;
      case 0x90: // ADDITEMS
        popMark();
        break;
      case 0x91: // FROZENSET
        push(new PickleObject("builtins.frozenset", popMark()));
        break;
      case 0x71: // BINPUT
        memo.set(reader.u8(), top());
        break;
      case 0x72: // LONG_BINPUT
        memo.set(reader.u32(), top());
        break;
      case 0x70: // PUT
        memo.set(Number(decimal(latin1(reader.line()))), top());
        break;
      case 0x94: // MEMOIZE
        memo.set(memo.size, top());
        break;
      case 0x68: // BINGET
        recall(reader.u8());
        break;
      case 0x6a: // LONG_BINGET
        recall(reader.u32());
        break;
      case 0x67: // GET
        recall(Number(decimal(latin1(reader.line()))));
        break;
      case 0x63: // GLOBAL
        push(name(utf8(reader.line()), utf8(reader.line())));
        break;
      case 0x93: {
        // STACK_GLOBAL
        const [module, attribute] = popMany(2);
        push(name(module, attribute));
        break;
      }
      case 0x52: // REDUCE
      case 0x81: {
        // NEWOBJ
        const [callee, args] = popMany(2);
        push(call(callee, args));
        break;
      }
      case 0x92: {
        // NEWOBJ_EX
        const [callee, args] = popMany(3);
        push(call(callee, args));
        break;
      }
      case 0x62: {
        // BUILD. Attributes of a dict (PyTorch's `_metadata`) are not needed.
        const state = pop();
        const object = top();
        if (object instanceof PickleObject) object.state = state;
        break;
      }
      case 0x51: // BINPERSID
        push(host.persistent(pop()));
        break;
      default:
        refuse(
          `the pickle has the instruction 0x${code.toString(16)} at byte ${reader.position - 1}, which is not run here`,
        );
    }
  }
  return refuse(`the pickle has over ${maxSteps} instructions`);
}
