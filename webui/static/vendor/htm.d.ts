// For the type checker alone: trees are not typed.
declare const htm: { bind(h: any): (parts: TemplateStringsArray, ...values: any[]) => any };
export default htm;
