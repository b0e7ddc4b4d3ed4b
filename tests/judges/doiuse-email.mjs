// doiuse-email: what the big four do not show as it is meant, by the tables of caniemail.com.
import { doIUseEmail } from "@jsx-email/doiuse-email";
import { told } from "./common.mjs";

await told(async (html) => {
  const found = doIUseEmail(html, { emailClients: ["gmail.*", "outlook.*", "yahoo.*", "apple-mail.*"] });
  return { errors: found.errors ?? [], warnings: found.warnings ?? [], notes: found.notes ?? [] };
});
