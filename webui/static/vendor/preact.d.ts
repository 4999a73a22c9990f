// What the console uses of it, for the type checker alone: trees are not typed.
export const h: any;
export const render: any;
export const Fragment: any;
