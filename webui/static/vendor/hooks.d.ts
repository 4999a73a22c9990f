// What the console uses of it, for the type checker alone.
type Set<T> = (next: T | ((before: T) => T)) => void;
type Ref<T> = { current: T };
type Inputs = readonly unknown[];
export function useState<T = any>(first?: T | (() => T)): [T, Set<T>];
export function useRef<T = any>(first: T): Ref<T>;
export function useMemo<T>(make: () => T, inputs?: Inputs): T;
export function useCallback<T extends (...given: any[]) => any>(call: T, inputs?: Inputs): T;
export function useEffect(act: () => void | (() => void), inputs?: Inputs): void;
export function useLayoutEffect(act: () => void | (() => void), inputs?: Inputs): void;
export function useReducer<S, A = void>(next: (state: S, action: A) => S, first: S): [S, (action: A) => void];
