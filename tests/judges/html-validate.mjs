// html-validate: what is not sound in an HTML part. Styles on elements and old attributes are what mail needs.
import { HtmlValidate } from "html-validate";
import { told } from "./common.mjs";

const judge = new HtmlValidate({
  root: true,
  extends: ["html-validate:recommended"],
  rules: {
    "no-inline-style": "off", // mail readers drop the head
    "no-deprecated-attr": "off", // Outlook goes by width, align, cellpadding
    "no-conditional-comment": "off", // Outlook has no width of its own
    "prefer-native-element": "off", // <article> is dropped by some, a role is not
    "prefer-tbody": "off",
    "long-title": "off", // a title is the office's own
    "no-trailing-whitespace": "off",
    "attribute-boolean-style": "off",
    "void-style": "off",
    "doctype-style": "off",
    "require-sri": "off",
    "no-implicit-button-type": "off",
    "tel-non-breaking": "off", // a release's own text
  },
});

await told(async (html) => {
  const { results } = await judge.validateString(html);
  return results.flatMap((one) => one.messages.map((m) => `${m.line}:${m.column} ${m.ruleId}: ${m.message}`));
});
