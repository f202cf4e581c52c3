// Numbers as text.

const MINUS = "\u2212";
const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

// Four digits, as 0.1234 or 1.234e−7.
function shown(value, digits = 4) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text =
    size >= 1e-3 && size < 1e6
      ? String(Number(value.toPrecision(digits)))
      : value.toExponential(digits - 1).replace(/\.?0+e/, "e");
  return text.replaceAll("-", MINUS);
}

function counted(value) {
  return value.toLocaleString("en-US");
}

// 105,415,200 as "105 M".
function short(value) {
  for (const [unit, name] of [
    [1e9, " G"],
    [1e6, " M"],
    [1e3, " k"],
  ]) {
    if (value >= unit) return Number((value / unit).toPrecision(3)) + name;
  }
  return String(value);
}

function shapeText(shape) {
  return shape.join(" × ");
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

// 10 to the power of an integer: "10⁻³".
function power(exponent) {
  const digits = [...String(Math.abs(exponent))].map((digit) => SUPERSCRIPTS[digit]);
  return `10${exponent < 0 ? "⁻" : ""}${digits.join("")}`;
}

// How the numbers of one table are written, all alike: the power of ten that is taken out, and the decimals.
function scaleOf(values, digits) {
  const largest = Math.max(...values.map(Math.abs));
  if (largest === 0) return { largest: 1, note: "", write: () => "0" };
  const exponent = Math.floor(Math.log10(largest));
  const taken = exponent >= -1 && exponent <= 2 ? 0 : exponent;
  const decimals = Math.max(0, digits - 1 - (exponent - taken));
  return {
    largest,
    note: taken === 0 ? "" : `, in units of ${power(taken)}`,
    write: (value) => {
      const text = (value / 10 ** taken).toFixed(decimals);
      const sign = Number(text) === 0 ? "" : MINUS; // no minus before what is rounded to 0
      const written = value === 0 ? "0" : text.replace("-", sign);
      return digits < 3 ? written.replace(/^(\u2212?)0\./, "$1.") : written; // where there is little room
    },
  };
}
